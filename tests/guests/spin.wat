;; Loops for ever, in its function and as a leaf of deep calls.
(module
  (func (export "_start") (loop $forever (br $forever)))
  (func $deep (export "deep") (param i32)
    (if (i32.eqz (local.get 0)) (then (loop $forever (br $forever))))
    (call $deep (i32.sub (local.get 0) (i32.const 1)))))
