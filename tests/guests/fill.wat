;; Fills 200 MiB of memory over and over: single operations that take long.
(module
  (memory 3200)
  (func (export "run")
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 209715200))
      (br $again))))
