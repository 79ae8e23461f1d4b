;; tries: loops when it is instantiated, before any call
;; must: load call describe sandbox/fuel "used all of its fuel"
(func $start (loop $l (br $l)) unreachable)
(start $start)
