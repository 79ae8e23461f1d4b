;; tries: allows with a note over what may cross
;; must: refuse sandbox/malformed "too much data"
(data (i32.const 4096) "\00\00\00\00\01\00\00\00\00\40\00\00\40\0d\03\00")
(data (i32.const 16384) "y")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
