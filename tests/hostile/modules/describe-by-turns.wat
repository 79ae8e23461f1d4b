;; tries: says something else each time it is asked; what it said when it was loaded stands
;; must: refuse sandbox/malformed "does not list the denial code `ho`"
(data (i32.const 4096) "ho")
(func (export "describe") (result i32)
  (if (global.get $count) (then (i32.store (i32.const 1208) (i32.const 4096))))
  (global.set $count (i32.const 1)) (i32.const 1024))
(data (i32.const 8192) "\01\00\00\00\10\20\00\00\01\00\00\00")
(data (i32.const 8208) "\00\10\00\00\02\00\00\00\4c\04\00\00\07\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 8192))
