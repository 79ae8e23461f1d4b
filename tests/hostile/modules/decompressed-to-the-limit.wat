;; tries: makes 2 MiB of noise of a configuration of two bytes; it may, and pays for it itself
;; must: allow
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (local $i i32)
  (drop (memory.grow (i32.const 28)))
  (local.set $i (i32.const 262144))
  (loop $l
    (i32.store (local.get $i) (i32.mul (local.get $i) (i32.const -1640531527)))
    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 2097152))))
  (i32.const 0))
