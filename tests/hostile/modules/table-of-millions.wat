;; tries: has a table of ten million entries
;; must: load compile "exceeds the limit of 10000"
(table 10000000 funcref)
