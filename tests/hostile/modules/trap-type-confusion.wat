;; tries: calls a function as if it were of another type
;; must: refuse sandbox/trap "indirect call type mismatch"
(type $t (func (result i32)))
(table 1 funcref)
(elem (i32.const 0) $other)
(func $other (param i64 i64))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call_indirect (type $t) (i32.const 0)))
