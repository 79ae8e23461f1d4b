;; tries: calls the host out of the allocator, while the host is writing
;; must: refuse sandbox/trap "cannot leave component instance"
(import "sigwarden:policy/storage@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (global.set $count (i32.const 1)) (i32.const 0))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (if (global.get $count) (then (call $set (i32.const 1100) (i32.const 7) (i32.const 1100) (i32.const 7))))
  (i32.const 131072))
