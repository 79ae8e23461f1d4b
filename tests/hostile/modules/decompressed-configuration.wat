;; tries: makes 2 MiB of a configuration of two bytes, and then a page more
;; must: load call configure sandbox/memory "2162688 bytes of memory"
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (drop (memory.grow (i32.const 28)))
  (memory.fill (i32.const 131072) (i32.const 7) (i32.const 1966080))
  (drop (memory.grow (i32.const 1)))
  (i32.const 0))
