;; tries: calls through an empty entry of its table
;; must: refuse sandbox/trap "uninitialized element"
(type $t (func (result i32)))
(table 4 funcref)
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call_indirect (type $t) (i32.const 1)))
