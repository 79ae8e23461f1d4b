;; tries: has twelve tables
;; must: load compile "multiple tables"
(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)(table 10 funcref)
