SELECT asked.*, (
    SELECT pg_catalog.hashtextextended(pg_catalog.concat_ws(E'\n', c.relkind, c.relrowsecurity,
        (SELECT pg_catalog.string_agg(ROW(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
                a.attidentity, a.attgenerated, a.attcollation::pg_catalog.regcollation,
                pg_catalog.pg_get_expr(d.adbin, d.adrelid))::pg_catalog.text, E'\n' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a
            LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        (SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(k.oid), E'\n' ORDER BY k.conname)
            FROM pg_catalog.pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype <> 't'),
        (SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(i.indexrelid), E'\n'
                ORDER BY i.indexrelid::pg_catalog.regclass::pg_catalog.text COLLATE "C")
            FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisvalid)
    ) COLLATE "C", 0)::pg_catalog.text
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = asked.schema AND c.relname = asked.name
) AS found
FROM asked
