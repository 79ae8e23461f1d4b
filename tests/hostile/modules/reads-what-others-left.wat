;; tries: looks for what an earlier guest left in fresh memory
;; must: allow
(func $evaluate (export "evaluate") (param $request i32) (result i32) (local $i i32)
  (drop (memory.grow (i32.const 20)))
  (local.set $i (i32.const 262144))
  (loop $l
    (if (i64.ne (i64.load (local.get $i)) (i64.const 0)) (then (return (i32.const 1300))))
    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 64))) (i32.const 1572864))))
  (i32.const 0))
