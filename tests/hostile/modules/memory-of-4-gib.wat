;; tries: begins with all the memory there is
;; must: load compile "exceeds the limit"
(memory (export "memory") 65536)
