;; tries: logs what clears the terminal and forges a line
;; must: log 1 "\u{1b}[2J\u{a}\u{d}decision: allow"
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(data (i32.const 4096) "\1b[2J\0a\0ddecision: allow")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $emit (i32.const 2) (i32.const 4096) (i32.const 21)) (i32.const 0))
