"""Own: the names of what PostgreSQL itself keeps about its databases.

In: nothing. Out: the relations of ``pg_catalog``, which a statement may name without a schema, and the functions that
ask about them. Source: PostgreSQL 15 to 18, chapters 53 and 54, and 9.26.
"""

from __future__ import annotations

CATALOG = frozenset(
    f"pg_{name}"
    for name in """
aggregate aios am amop amproc attrdef attribute auth_members authid available_extension_versions available_extensions
backend_memory_contexts cast class collation config constraint conversion cursors database db_role_setting default_acl
depend description enum event_trigger extension file_settings foreign_data_wrapper foreign_server foreign_table group
hba_file_rules ident_file_mappings index indexes inherits init_privs language largeobject largeobject_metadata locks
matviews namespace opclass operator opfamily parameter_acl partitioned_table policies policy prepared_statements
prepared_xacts proc publication publication_namespace publication_rel publication_tables range replication_origin
replication_origin_status replication_slots rewrite roles rules seclabel seclabels sequence sequences settings shadow
shdepend shdescription shmem_allocations shmem_allocations_numa shseclabel stat_activity stat_all_indexes
stat_all_tables stat_archiver stat_bgwriter stat_checkpointer stat_database stat_database_conflicts stat_gssapi stat_io
stat_progress_analyze stat_progress_basebackup stat_progress_cluster stat_progress_copy stat_progress_create_index
stat_progress_vacuum stat_recovery_prefetch stat_replication stat_replication_slots stat_slru stat_ssl
stat_subscription stat_subscription_stats stat_sys_indexes stat_sys_tables stat_user_functions stat_user_indexes
stat_user_tables stat_wal stat_wal_receiver stat_xact_all_tables stat_xact_sys_tables stat_xact_user_functions
stat_xact_user_tables statio_all_indexes statio_all_sequences statio_all_tables statio_sys_indexes statio_sys_sequences
statio_sys_tables statio_user_indexes statio_user_sequences statio_user_tables statistic statistic_ext
statistic_ext_data stats stats_ext stats_ext_exprs subscription subscription_rel tables tablespace timezone_abbrevs
timezone_names transform trigger ts_config ts_config_map ts_dict ts_parser ts_template type user user_mapping
user_mappings views wait_events
""".split()  # noqa: SIM905
)

# Functions about the catalog, and those that read nothing and that questions about it use.
CATALOG_FUNCTIONS = frozenset(
    """
COL_DESCRIPTION OBJ_DESCRIPTION SHOBJ_DESCRIPTION FORMAT_TYPE TO_REGCLASS TO_REGTYPE TO_REGNAMESPACE
CURRENT_SETTING CURRENT_SCHEMAS CURRENT_SCHEMA CURRENT_DATABASE VERSION INET_SERVER_ADDR INET_SERVER_PORT
HAS_TABLE_PRIVILEGE HAS_SCHEMA_PRIVILEGE HAS_DATABASE_PRIVILEGE HAS_COLUMN_PRIVILEGE HAS_ANY_COLUMN_PRIVILEGE
PG_BACKEND_PID PG_GET_CONSTRAINTDEF PG_GET_EXPR PG_GET_INDEXDEF PG_GET_VIEWDEF PG_GET_SERIAL_SEQUENCE
PG_GET_FUNCTIONDEF PG_GET_USERBYID PG_TABLE_IS_VISIBLE PG_TYPE_IS_VISIBLE PG_TABLE_SIZE PG_TOTAL_RELATION_SIZE
PG_RELATION_SIZE PG_INDEXES_SIZE PG_DATABASE_SIZE PG_SIZE_PRETTY PG_IS_IN_RECOVERY PG_POSTMASTER_START_TIME
PG_ENCODING_TO_CHAR ARRAY_AGG ARRAY_LENGTH ARRAY_POSITION ARRAY_TO_STRING STRING_AGG COALESCE CONCAT COUNT LOWER UPPER
MAX MIN SUM NULLIF QUOTE_IDENT REGEXP_REPLACE SPLIT_PART SUBSTRING TRIM UNNEST GENERATE_SUBSCRIPTS NOW ROUND
JSON_AGG JSON_BUILD_OBJECT ROW_NUMBER ANY ALL EXISTS CAST
""".split()  # noqa: SIM905
)
