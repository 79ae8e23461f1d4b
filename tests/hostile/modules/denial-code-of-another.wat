;; tries: denies with a code of the host's own
;; must: refuse sandbox/malformed "does not list the denial code `floor/conflict`"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\00\40\00\00\0e\00\00\00\4c\04\00\00\07\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 16384) "floor/conflict")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
