;; tries: denies with a code that its manifest does not list
;; must: refuse sandbox/malformed "does not list the denial code `yes`"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\00\40\00\00\03\00\00\00\4c\04\00\00\07\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 16384) "yes")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
