;; The matrix program written by hand; ../README.md says what it does.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  ;; 0: count; 4: size of texts; 8: an iovec; 16: bytes moved; 64: texts of this program; 1024: argv; 4096: its texts;
  ;; 16384: environ; 20480: its texts; 32768: a buffer
  (memory (export "memory") 1)
  (data (i32.const 64) "\n")
  (data (i32.const 68) "(unset)")
  (data (i32.const 80) "out\n")
  (data (i32.const 88) "err\n")

  (func $length (param $text i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $text))
    (block $found
      (loop $next
        (br_if $found (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next)))
    (i32.sub (local.get $end) (local.get $text)))

  (func $write (param $fd i32) (param $text i32) (param $size i32)
    (i32.store (i32.const 8) (local.get $text))
    (i32.store (i32.const 12) (local.get $size))
    (drop (call $fd_write (local.get $fd) (i32.const 8) (i32.const 1) (i32.const 16))))

  (func $line (param $text i32)
    (call $write (i32.const 1) (local.get $text) (call $length (local.get $text)))
    (call $write (i32.const 1) (i32.const 64) (i32.const 1)))

  (func $argument (param $index i32) (result i32)
    (i32.load (i32.add (i32.const 1024) (i32.mul (local.get $index) (i32.const 4)))))

  (func $show_arguments (param $count i32)
    (local $index i32)
    (local.set $index (i32.const 2))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
        (call $line (call $argument (local.get $index)))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next))))

  ;; The text behind "NAME=" if the entry begins so, else 0.
  (func $value (param $entry i32) (param $name i32) (result i32)
    (loop $next
      (if (i32.eqz (i32.load8_u (local.get $name)))
        (then
          (if (i32.eq (i32.load8_u (local.get $entry)) (i32.const 61))
            (then (return (i32.add (local.get $entry) (i32.const 1)))))
          (return (i32.const 0))))
      (if (i32.ne (i32.load8_u (local.get $entry)) (i32.load8_u (local.get $name)))
        (then (return (i32.const 0))))
      (local.set $entry (i32.add (local.get $entry) (i32.const 1)))
      (local.set $name (i32.add (local.get $name) (i32.const 1)))
      (br $next))
    (unreachable))

  (func $show_environment (param $name i32)
    (local $index i32)
    (local $value i32)
    (drop (call $environ_sizes_get (i32.const 0) (i32.const 4)))
    (drop (call $environ_get (i32.const 16384) (i32.const 20480)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (i32.load (i32.const 0))))
        (local.set $value
          (call $value
            (i32.load (i32.add (i32.const 16384) (i32.mul (local.get $index) (i32.const 4))))
            (local.get $name)))
        (if (local.get $value)
          (then
            (call $line (local.get $value))
            (return)))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (call $line (i32.const 68)))

  ;; One digit is enough for an input that is empty.
  (func $count_input
    (i32.store (i32.const 8) (i32.const 32768))
    (i32.store (i32.const 12) (i32.const 9))
    (drop (call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16)))
    (i32.store8 (i32.const 32768) (i32.add (i32.const 48) (i32.load (i32.const 16))))
    (i32.store8 (i32.const 32769) (i32.const 0))
    (call $line (i32.const 32768)))

  (func $number (param $text i32) (result i32)
    (local $number i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (local.get $text))))
        (local.set $number
          (i32.add
            (i32.mul (local.get $number) (i32.const 10))
            (i32.sub (i32.load8_u (local.get $text)) (i32.const 48))))
        (local.set $text (i32.add (local.get $text) (i32.const 1)))
        (br $next)))
    (local.get $number))

  (func $die
    (unreachable))

  ;; The second letter tells the words apart.
  (func (export "_start")
    (local $what i32)
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (drop (call $args_get (i32.const 1024) (i32.const 4096)))
    (if (i32.gt_u (i32.load (i32.const 0)) (i32.const 1))
      (then (local.set $what (i32.load8_u (i32.add (call $argument (i32.const 1)) (i32.const 1))))))
    (if (i32.eq (local.get $what) (i32.const 114)) ;; args
      (then (call $show_arguments (i32.load (i32.const 0))) (return)))
    (if (i32.eq (local.get $what) (i32.const 110)) ;; env
      (then (call $show_environment (call $argument (i32.const 2))) (return)))
    (if (i32.eq (local.get $what) (i32.const 116)) ;; stdin
      (then (call $count_input) (return)))
    (call $write (i32.const 1) (i32.const 80) (i32.const 4))
    (call $write (i32.const 2) (i32.const 88) (i32.const 4))
    (if (i32.eq (local.get $what) (i32.const 120)) ;; exit
      (then (call $proc_exit (call $number (call $argument (i32.const 2))))))
    (if (i32.eq (local.get $what) (i32.const 105)) ;; die
      (then (call $die)))))
