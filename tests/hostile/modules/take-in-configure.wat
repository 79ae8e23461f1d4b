;; tries: takes from a bucket while it is configured
;; must: load call configure sandbox/host-call "limits.take outside of `evaluate`, where only log.emit is allowed"
(import "sigwarden:policy/limits@0.1.0" "take" (func $take (param i32 i32 i64 i64 i64 i32)))
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (call $take (i32.const 1100) (i32.const 7) (i64.const 1) (i64.const 9) (i64.const 1000) (i32.const 512)) (i32.const 0))
