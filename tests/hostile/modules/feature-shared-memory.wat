;; tries: uses memory that threads share
;; must: load compile "threads must be enabled"
(memory (export "memory") 1 2 shared)
