;; tries: exports an asynchronous function
;; must: load compile "async"
(component
  (core module $m (func (export "f") (result i32) i32.const 0) (func (export "cb") (param i32 i32 i32) (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func (export "evaluate") async (canon lift (core func $i "f") async (callback (core func $i "cb")))))
