;; tries: uses structs of the garbage collector
;; must: load compile "without the gc feature"
(type $s (struct (field i32)))
(func (drop (struct.new $s (i32.const 1))))
