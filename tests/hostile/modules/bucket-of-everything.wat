;; tries: takes all 2^64-1 of a bucket of ten years; it may
;; must: allow
(import "sigwarden:policy/limits@0.1.0" "take" (func $take (param i32 i32 i64 i64 i64 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $take (i32.const 1100) (i32.const 7) (i64.const -1) (i64.const -1) (i64.const 316224000000) (i32.const 512)) (i32.const 0))
