;; tries: denies with an empty code
;; must: refuse sandbox/malformed "no denial code"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\c4\04\00\00\00\00\00\00\4c\04\00\00\07\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
