;; tries: removes a value while it is configured
;; must: load call configure sandbox/host-call "storage.delete outside of `evaluate`, where only log.emit is allowed"
(import "sigwarden:policy/storage@0.1.0" "delete" (func $delete (param i32 i32)))
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (call $delete (i32.const 1100) (i32.const 7)) (i32.const 0))
