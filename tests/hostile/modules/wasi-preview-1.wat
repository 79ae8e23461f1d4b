;; tries: imports WASI of the first preview
;; must: load not-a-component "core WebAssembly module"
;; raw: core
(module
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1))
