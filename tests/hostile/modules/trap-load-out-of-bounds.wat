;; tries: reads behind its memory
;; must: refuse sandbox/trap "out of bounds memory"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.load (i32.const 262144)))
