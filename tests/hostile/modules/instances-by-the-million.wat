;; tries: instantiates a component that instantiates a component twice … twelve deep: 4,096 instances in 1 KiB
;; must: load shape "a component in a component"
(component
  (component $c0 (core module $m) (core instance (instantiate $m)))
  (component $c1
    (alias outer 1 $c0 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c2
    (alias outer 1 $c1 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c3
    (alias outer 1 $c2 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c4
    (alias outer 1 $c3 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c5
    (alias outer 1 $c4 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c6
    (alias outer 1 $c5 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c7
    (alias outer 1 $c6 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c8
    (alias outer 1 $c7 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c9
    (alias outer 1 $c8 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c10
    (alias outer 1 $c9 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c11
    (alias outer 1 $c10 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (component $c12
    (alias outer 1 $c11 (component $c))
    (instance (instantiate $c)) (instance (instantiate $c)))
  (instance (instantiate $c12)))
