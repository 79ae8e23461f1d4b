;; tries: takes from a bucket that holds nothing, ever
;; must: refuse sandbox/host-call "limits.take"
(import "sigwarden:policy/limits@0.1.0" "take" (func $take (param i32 i32 i64 i64 i64 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $take (i32.const 1100) (i32.const 7) (i64.const 1) (i64.const 0) (i64.const 1000) (i32.const 512)) (i32.const 0))
