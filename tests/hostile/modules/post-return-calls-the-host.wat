;; tries: calls the host after its answer
;; must: refuse sandbox/trap "cannot leave component instance"
(import "sigwarden:policy/storage@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
(func (export "cabi_post_evaluate") (param i32) (call $set (i32.const 1100) (i32.const 7) (i32.const 1100) (i32.const 7)))
