;; tries: calls itself without end
;; must: refuse sandbox/trap "stack exhausted"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $evaluate (local.get $request)))
