;; tries: denies with a code that clears the terminal
;; must: refuse sandbox/malformed "`\u{1b}[2J` is no denial code"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\00\40\00\00\04\00\00\00\4c\04\00\00\07\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 16384) "\1b[2J")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
