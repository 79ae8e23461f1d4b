;; tries: logs more than may cross in one line
;; must: refuse sandbox/malformed "too much data"
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $emit (i32.const 2) (i32.const 4096) (i32.const 200000)) (i32.const 0))
