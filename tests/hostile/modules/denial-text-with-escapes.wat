;; tries: denies with a message that clears the terminal and turns what follows around
;; must: deny no "\u{1b}[2J\u{202e}"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\c4\04\00\00\02\00\00\00\00\40\00\00\07\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 16384) "\1b[2J\e2\80\ae")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
