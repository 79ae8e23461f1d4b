;; tries: keeps its configuration in a table
;; must: load snapshot "table.copy"
(table $t 2 funcref)
(elem (i32.const 0) $a $b)
(func $a)
(func $b)
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 1)) (i32.const 0))
