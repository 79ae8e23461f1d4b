;; tries: brings functions that do not fit its table
;; must: load call describe sandbox/trap "table"
(table 1 funcref)
(elem (i32.const 1) $f)
(func $f)
