;; tries: reads the state before any call, when no import is there yet
;; must: load call describe sandbox/trap "uninitialized element"
(import "sigwarden:policy/storage@0.1.0" "get" (func $get (param i32 i32 i32)))
(func $start (call $get (i32.const 1100) (i32.const 7) (i32.const 512)))
(start $start)
