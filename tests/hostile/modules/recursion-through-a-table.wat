;; tries: the same through a table
;; must: refuse sandbox/trap "stack exhausted"
(type $t (func))
(table 1 funcref)
(elem (i32.const 0) $again)
(func $again (call_indirect (type $t) (i32.const 0)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $again) (i32.const 0))
