;; tries: uses pages of one byte
;; must: load compile "custom page sizes proposal must be enabled"
(memory (export "memory") 262144 (pagesize 1))
