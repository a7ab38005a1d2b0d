/*
 * Leat in C: the one interface whose binary form is kept. Python and Fortran stand on it, and so
 * may any other language. C99, C++ too. Link with libleat.so.0 (CMake: leat::leat; pkg-config:
 * leat).
 *
 *   #include <leat.h>
 *   #include <stdio.h>
 *   int main(void) {
 *     float picture[28 * 28] = {0}, scores[10];
 *     leat_model* model;
 *     leat_tensor x = {picture, sizeof picture, LEAT_F32, 4, {1, 1, 28, 28}};
 *     leat_tensor y = {scores, sizeof scores};
 *     if (leat_model_load(NULL, "digits.onnx", NULL, &model) || leat_run(model, &x, 1, &y, 1))
 *       return printf("%s\n", leat_message()), 1;
 *     printf("%g\n", scores[0]);
 *     leat_model_close(model);
 *   }
 *
 * Errors. A function that can fail returns a leat_status; LEAT_OK is 0. Then leat_message() is one
 * sentence that says what failed, where, with which value. Outputs are set only on LEAT_OK. No C++
 * exception leaves the library.
 *
 * Structs that will grow begin with `struct_bytes`: set it to sizeof of the struct, and all else to
 * zero: `leat_load_options options = {sizeof options};`. Members that an older caller does not know
 * count as zero. The other structs do not grow.
 *
 * Text is UTF-8 and ends with 0. Text that a function gives is the library's: each says how long it
 * lives. Text and arrays that a caller gives are read during the call only, save memory that is
 * placed.
 *
 * Threads. Any thread may use a session, and wait for a fence. A model is used by one thread at a
 * time, save leat_model_start and what concerns memory of a slot, which may run on a thread for
 * each slot. leat_message is the calling thread's own.
 */
#ifndef LEAT_H
#define LEAT_H

#include <stddef.h>
#include <stdint.h>

#define LEAT_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* --- Status ---------------------------------------------------------------------------------- */

/** What became of a call, named by what to do next. */
typedef int32_t leat_status;
enum {
  LEAT_OK = 0,
  LEAT_INVALID_ARGUMENT = 1, /**< mend the call */
  LEAT_UNSUPPORTED = 2,      /**< try another device */
  LEAT_OUT_OF_MEMORY = 3,    /**< free some */
  LEAT_DEVICE_LOST = 4,      /**< give the device up: leat_model_give_way */
  LEAT_IO = 5,               /**< look at the file or the driver */
  LEAT_INTERNAL = 6,         /**< report a bug */
  LEAT_TIMEOUT = 7           /**< wait on: the work is still under way */
};

/** The sentence of this thread's last call that did not return LEAT_OK; "" before the first. It
 * lives until the next such call on this thread. */
LEAT_API const char* leat_message(void);
/** "invalid_argument" and so on; "unknown" for a number that is none. Lives forever. */
LEAT_API const char* leat_status_name(leat_status status);
/** "0.1.0" and the commit that the library was built from. They live forever. */
LEAT_API const char* leat_version(void);
LEAT_API const char* leat_commit(void);

/* --- Tensors --------------------------------------------------------------------------------- */

/** The type of an element; the numbers are those of ONNX' TensorProto.DataType. Whole numbers and
 * floats of 4 and 2 bits take a byte each, in its low bits. */
typedef int32_t leat_type;
enum {
  LEAT_NONE = 0, /**< no tensor: an optional input that is left out */
  LEAT_F32 = 1,
  LEAT_U8 = 2,
  LEAT_I8 = 3,
  LEAT_U16 = 4,
  LEAT_I16 = 5,
  LEAT_I32 = 6,
  LEAT_I64 = 7,
  LEAT_BOOL = 9, /**< a byte, 0 or 1 */
  LEAT_F16 = 10,
  LEAT_F64 = 11,
  LEAT_U32 = 12,
  LEAT_U64 = 13,
  LEAT_BF16 = 16,
  LEAT_F8E4M3FN = 17,
  LEAT_F8E4M3FNUZ = 18,
  LEAT_F8E5M2 = 19,
  LEAT_F8E5M2FNUZ = 20,
  LEAT_U4 = 21,
  LEAT_I4 = 22,
  LEAT_F4E2M1 = 23,
  LEAT_F8E8M0 = 24,
  LEAT_U2 = 25,
  LEAT_I2 = 26
};

/** Bytes of one element in memory; 0 for a number that is no type. */
LEAT_API size_t leat_type_bytes(leat_type type);
/** "f32", "i64", "bool"; "unknown" for a number that is no type. Lives forever. */
LEAT_API const char* leat_type_name(leat_type type);

#define LEAT_RANK_MAX 8

/** A tensor in the caller's memory, row-major: the last extent of `shape` lies side by side. As an
 * output `data` and `size_bytes` say how much memory there is, and the call fills in the rest;
 * size_bytes becomes what the result takes. Where `data` of an output is null and the result is not
 * empty, the call fills in all outputs but their data and computes nothing: so a caller learns how
 * much memory to bring. */
typedef struct leat_tensor {
  void* data;
  size_t size_bytes;
  leat_type type;
  int32_t rank;                 /**< 0 to LEAT_RANK_MAX; a scalar has 0 */
  int64_t shape[LEAT_RANK_MAX]; /**< elements, outermost first */
} leat_tensor;

/* --- Devices --------------------------------------------------------------------------------- */

/** A route to a device, and what is known of it without opening it. */
typedef struct leat_device_info {
  size_t struct_bytes;
  const char* name; /**< what `device` members take: "cpu", "gpu0:vulkan" */
  const char* chip; /**< "NVIDIA H200" */
  const char* vendor;
  const char* driver;  /**< name and version */
  const char* route;   /**< direct, cuda, vulkan, opengl, native */
  const char* refusal; /**< why it cannot be used; "" when it can */
  int32_t is_software; /**< a renderer on the CPU: used only when it is named */
  int32_t has_unified_memory;
  uint64_t memory_bytes;
} leat_device_info;

/** A list of what was found. */
typedef struct leat_devices leat_devices;

/** Looks for every route to every device, best first. Asks each driver: up to a second. The list
 * is the caller's, to be freed by leat_devices_free. */
LEAT_API leat_status leat_devices_find(leat_devices** devices);
/** Its length; 0 for null. */
LEAT_API size_t leat_devices_count(const leat_devices* devices);
/** The texts live as long as the list. Errors: LEAT_INVALID_ARGUMENT, for an index past the end. */
LEAT_API leat_status leat_devices_get(const leat_devices* devices, size_t index,
                                      leat_device_info* info);
/** Null is allowed, as in every function that frees or closes. */
LEAT_API void leat_devices_free(leat_devices* devices);

/* --- Sessions -------------------------------------------------------------------------------- */

/** Told in a sentence what happens that is no error, such as which device gives way to which. It
 * may be called on any thread that is in a call of the library, calls nothing of it and does not
 * throw; `message` lives during the call. */
typedef void (*leat_log)(void* context, const char* message);

typedef struct leat_session_options {
  size_t struct_bytes;
  const char* device;       /**< for models that name none; null: the best that takes the model */
  const char* cache_folder; /**< of compiled kernels; null: the user's, "": none is kept */
  uint32_t threads;         /**< of the cpu device; 0: LEAT_THREADS, else all */
  leat_log log;             /**< null: nobody is told */
  void* log_context;
} leat_session_options;

/** Devices that are open, and the models and operators ready on them. */
typedef struct leat_session leat_session;

/** Opens no device yet. `options` may be null. */
LEAT_API leat_status leat_session_open(const leat_session_options* options, leat_session** session);
/** What models need of it lives on until the last of them is closed. */
LEAT_API void leat_session_close(leat_session* session);

/* --- Models ---------------------------------------------------------------------------------- */

/** What is known of an input before a model is loaded: its shape, and, where `value.data` is not
 * null, its value. An input whose value decides a shape must be known so: it, and no other, then is
 * no input of the model any more. */
typedef struct leat_known_input {
  const char* name;
  leat_tensor value;
} leat_known_input;

typedef struct leat_load_options {
  size_t struct_bytes;
  const char* device;            /**< "cpu", "gpu0", "gpu0:vulkan"; null: the session's */
  const leat_known_input* known; /**< inputs of which more is known than the file says */
  size_t known_count;
  uint64_t deadline_ns;      /**< after which a run counts as lost; 0: the device's own */
  uint32_t slots;            /**< sets of inputs and outputs, so that runs overlap; 0: 1 */
  int32_t is_strict;         /**< not 0: refuses a device that computes f64 as f32 */
  int32_t has_one_shape;     /**< not 0: other shapes than the first are not expected: kernels
                                  are made for these alone, some per cent faster; others make new
                                  ones */
  int32_t takes_times;       /**< not 0: each run takes the device's time: leat_model_run_times */
  int32_t trusts_kernels;    /**< not 0: kernels in the model are not checked by the interpreter */
  const char* const* states; /**< "OUT=IN" each: output OUT of a run is input IN of the next
                                  one; a star on each side stands for the same characters */
  size_t state_count;
  const char* precision; /**< what factors of products in f32 may be rounded to: "tf32", "bf16",
                              "f16" or "i8"; sums and results stay f32. Null: "f32", nothing */
} leat_load_options;

/** A model that is ready to run on a device. */
typedef struct leat_model leat_model;

/** Reads an ONNX file, or one that `leat pack` made, and makes it ready. Where the file leaves a
 * first extent open (the number of pictures), it is 1 until a run says more; where it leaves others
 * open, and they are not among `known`, the model is made ready by the first run, or by
 * leat_model_set_shapes; until then what needs shapes (memory, starts, statistics) answers
 * LEAT_INVALID_ARGUMENT. Other values of open extents need no kernels of their own, mostly. A
 * packed model has one set of shapes, and takes neither known inputs, is_strict nor precision;
 * its file must be one that only this user and root can write. `session` null: one of the model's
 * own; `options` may be null. The model is the caller's, to be closed by leat_model_close. Errors:
 * LEAT_IO (no such file), LEAT_INVALID_ARGUMENT (no model; damaged; no such device or precision),
 * LEAT_UNSUPPORTED (an operator or a type that Leat does not have, named; a pack without kernels
 * for the device; a model that is not packed, without a compiler), those of devices. */
LEAT_API leat_status leat_model_load(leat_session* session, const char* path,
                                     const leat_load_options* options, leat_model** model);
/** The same of a file's bytes, which are read during the call only; `name` is for messages. The
 * bytes of a packed model are run as they are: the caller vouches for them. */
LEAT_API leat_status leat_model_load_memory(leat_session* session, const void* bytes,
                                            size_t size_bytes, const char* name,
                                            const leat_load_options* options, leat_model** model);
/** Does not wait: memory that is placed stays in use until the fence of the slot's last run is
 * reached. */
LEAT_API void leat_model_close(leat_model* model);

/** An input or output for the shapes that the model is ready for; before it is ready for any, as
 * the file declares it, with -1 for an extent that is open, the shape (-1) where not even their
 * number is known, and size_bytes 0. An output whose size only a run tells stays as it is declared,
 * with size_bytes 0: what the run gives may be of another shape and type. */
typedef struct leat_value_info {
  size_t struct_bytes;
  const char* name; /**< lives until the model takes other shapes or is closed */
  leat_type type;
  int32_t rank;
  int64_t shape[LEAT_RANK_MAX];
  size_t size_bytes; /**< of the whole tensor in the caller's memory */
} leat_value_info;

LEAT_API size_t leat_model_input_count(const leat_model* model);
LEAT_API size_t leat_model_output_count(const leat_model* model);
/** Errors: LEAT_INVALID_ARGUMENT, for an index past the end. */
LEAT_API leat_status leat_model_input(const leat_model* model, size_t index, leat_value_info* info);
LEAT_API leat_status leat_model_output(const leat_model* model, size_t index,
                                       leat_value_info* info);
/** The device that it is ready on. The texts live until the model moves or is closed. */
LEAT_API leat_status leat_model_device(const leat_model* model, leat_device_info* info);

/** Makes it ready for inputs of these shapes; of the tensors only the shapes are read. leat_run
 * does so by itself. No run is in flight; memory that was placed or shown is so no longer. The last
 * few sets of shapes are kept ready. Errors: LEAT_INVALID_ARGUMENT, when the model cannot have
 * them. */
LEAT_API leat_status leat_model_set_shapes(leat_model* model, const leat_tensor* inputs,
                                           size_t input_count);

typedef struct leat_model_stats {
  size_t struct_bytes;
  uint64_t kernels;        /**< distinct ones */
  uint64_t compiled;       /**< of them not found in the cache */
  uint64_t reserved_bytes; /**< memory of the device */
  uint64_t copied_bytes;   /**< of inputs and outputs since it was loaded, for any cause */
  uint64_t staged_bytes;   /**< of them copied twice, through a second buffer */
  double compile_ms;
  uint64_t launches;      /**< of kernels in a run */
  uint64_t tensor_bytes;  /**< of reserved_bytes: weights, inputs, outputs, activations */
  uint64_t repeated_runs; /**< lost in a fault or a hang and run again */
  uint64_t products;      /**< of matrices in f32, and how many of them are rounded to the
                               precision that the model was loaded with */
  uint64_t rounded_products;
} leat_model_stats;
LEAT_API leat_status leat_model_get_stats(const leat_model* model, leat_model_stats* stats);

/** One kernel of a run. */
typedef struct leat_kernel_time {
  const char* name; /**< of the node; the texts live until leat_model_profile is called again */
  const char* op;
  double flop;
  uint64_t bytes;   /**< tensors read and written once */
  uint64_t time_ns; /**< on the device's clock */
} leat_kernel_time;
/** Runs slot 0 kernel by kernel on the inputs that lie there; where sizes follow from values, on
 * those of the last run. Writes up to `capacity` of them to `times`, which may be null when that is
 * 0, and their number to `count`. */
LEAT_API leat_status leat_model_profile(leat_model* model, leat_kernel_time* times, size_t capacity,
                                        size_t* count);

/** When the slot's last finished run began and ended, in nanoseconds on the device's clock. Models
 * on one device share the clock's marks: ask before another model runs that slot. Errors:
 * LEAT_INVALID_ARGUMENT, when the model was loaded without `takes_times`, or no run has finished.
 */
LEAT_API leat_status leat_model_run_times(leat_model* model, size_t slot, uint64_t* begin_ns,
                                          uint64_t* end_ns);

typedef struct leat_tune_options {
  size_t struct_bytes;
  double kernel_seconds; /**< of measuring, for each kernel; 0: 0.1 */
  int32_t is_again;      /**< not 0: measures what is known, too */
} leat_tune_options;

typedef struct leat_tune_result {
  size_t struct_bytes;
  uint64_t kernels;  /**< distinct ones */
  uint64_t measured; /**< of them now; the others were known, or have one way only */
  double model_us;   /**< sum over those of which both are known: by the model's choices, */
  double tuned_us;   /**< and by the best that was found */
} leat_tune_result;

/** Measures ways to compute each kernel of the model on its device, keeps the fastest in the
 * session's cache folder, for every later load, too, and makes the model ready anew with them:
 * memory that was placed or shown is so no longer. Where sizes follow from values, kernels behind
 * those are measured for the sizes of the last run. No run is in flight. `options` and `result` may
 * be null. Errors: LEAT_INVALID_ARGUMENT, when the session keeps nothing; LEAT_IO, when its folder
 * cannot be used; those of devices. */
LEAT_API leat_status leat_model_tune(leat_model* model, const leat_tune_options* options,
                                     leat_tune_result* result);

/** What a device that a session has open did so far. */
typedef struct leat_device_use {
  size_t struct_bytes;
  const char* name;      /**< lives until leat_session_uses is called again or the session closes */
  uint64_t users;        /**< models, operators and kernels that are ready on it */
  uint64_t submits;      /**< of work to its queue; 0 where a route does not count */
  uint64_t replays;      /**< of them runs of a model */
  uint64_t memory_bytes; /**< that it has */
} leat_device_use;

/** Of each open device. Writes up to `capacity` of them to `uses`, which may be null when that is
 * 0, and their number to `count`. `struct_bytes` of each is set by the caller. */
LEAT_API leat_status leat_session_uses(leat_session* session, leat_device_use* uses,
                                       size_t capacity, size_t* count);

/** Runs once in slot 0 and waits. One tensor for each input and output, in the model's order. When
 * an output that is not empty has no memory (`data` null), all outputs are described instead. Sizes
 * that follow from values (a NonMaxSuppression within, say) only a run can tell: then the model
 * does run, and the next call with equal inputs gives those results. leat_model_output says size 0
 * of such an output, and such a model is neither started nor read in place. Inputs of other shapes
 * are taken, where the model leaves them open. A fault is tried again, and a route that loses the
 * work twice gives way to the next. What lies where the device reads or writes it already is not
 * copied.
 * Errors: LEAT_INVALID_ARGUMENT, when a tensor does not fit: an output's message says the bytes
 * that it needs; those of devices. */
LEAT_API leat_status leat_run(leat_model* model, const leat_tensor* inputs, size_t input_count,
                              leat_tensor* outputs, size_t output_count);

/* --- States ---------------------------------------------------------------------------------- */

/* Outputs whose values are inputs of the next run (leat_load_options.states): hidden states of
 * recurrent layers, keys and values of a transformer. They stay in the device's memory where it can
 * keep them so. In leat_run the tensor of such an input has no memory (`data` null, and no extent
 * of 0) when it goes on from the last run, and sets the state when it has; before the first run
 * states are zeros. An output of that kind is not copied when its tensor has no memory. A model
 * with states is used by one thread at a time. */

/** Pairs of outputs and inputs, each once. 0 for null. */
LEAT_API size_t leat_model_state_count(const leat_model* model);
/** Which output is which input of the next run, by their indices; either may be null. Errors:
 * LEAT_INVALID_ARGUMENT, for an index past the end. */
LEAT_API leat_status leat_model_state(const leat_model* model, size_t index, size_t* output,
                                      size_t* input);
/** Copies what the next run will read; without memory (`data` null) only its type and shape are
 * told. No run is in flight. Errors: LEAT_INVALID_ARGUMENT, for an index past the end, a tensor
 * that is too small, or before there is a value; LEAT_DEVICE_LOST, when it was lost with its
 * device. */
LEAT_API leat_status leat_model_read_state(leat_model* model, size_t index, leat_tensor* value);
/** Gives it a value, for the next run or start. No run is in flight. Errors: LEAT_INVALID_ARGUMENT,
 * for an index past the end, or a value that does not fit. */
LEAT_API leat_status leat_model_set_state(leat_model* model, size_t index,
                                          const leat_tensor* value);
/** As before the first run: states are zeros. No run is in flight. */
LEAT_API leat_status leat_model_forget_states(leat_model* model);

/* --- In place -------------------------------------------------------------------------------- */

/** Where the device reads input (writes output) `index` of a slot, for the caller to write (read)
 * without a copy while no run of the slot is in flight. It lives until the model takes other
 * shapes, moves, is closed, or other memory is placed there. Errors: LEAT_UNSUPPORTED, where the
 * host does not reach it or it lies in another type or order; LEAT_INVALID_ARGUMENT. */
LEAT_API leat_status leat_model_input_memory(leat_model* model, size_t slot, size_t index,
                                             leat_tensor* memory);
LEAT_API leat_status leat_model_output_memory(leat_model* model, size_t slot, size_t index,
                                              leat_tensor* memory);

/** What the address and size of memory to be placed are multiples of; 0: the device takes none. */
LEAT_API size_t leat_model_place_alignment(const leat_model* model);
/** Lets input (output) `index` of a slot lie in memory that the caller has, such as an array: the
 * device reads and writes it there, nothing is copied. The memory outlives the model, or the
 * placing of other memory, and the slot's last run. No run of the slot is in flight.
 * Errors: LEAT_UNSUPPORTED, as above or when the device takes no memory of others;
 * LEAT_INVALID_ARGUMENT, when it is too small or not aligned. */
LEAT_API leat_status leat_model_place_input(leat_model* model, size_t slot, size_t index,
                                            void* memory, size_t size_bytes);
LEAT_API leat_status leat_model_place_output(leat_model* model, size_t slot, size_t index,
                                             void* memory, size_t size_bytes);
/** The same of a dma-buf: a camera's frame, a picture that goes to a screen. `fd` stays the
 * caller's; the cpu device takes every file that can be mapped, and an input that is open for
 * reading alone. It does not become shorter while it lies there. Nobody waits for fences of the
 * dma-buf: what fills it is done before the run starts. On the cpu device nobody tells its exporter
 * either (DMA_BUF_IOCTL_SYNC): where that is needed, do it around the run. Errors:
 * LEAT_UNSUPPORTED, when the device takes no dma-buf; LEAT_INVALID_ARGUMENT, when it has fewer
 * bytes than are said, or an output is open for reading alone; LEAT_IO. */
LEAT_API leat_status leat_model_place_input_dma_buf(leat_model* model, size_t slot, size_t index,
                                                    int fd, size_t size_bytes);
LEAT_API leat_status leat_model_place_output_dma_buf(leat_model* model, size_t slot, size_t index,
                                                     int fd, size_t size_bytes);

/** The moment at which a run ends. Plain data; it must not be looked at after its model moved or
 * was closed. */
typedef struct leat_fence {
  const void* source;
  uint64_t value;
} leat_fence;

/** Starts a run of a slot on what lies in its inputs. Takes no memory and copies nothing. At most
 * one run of each slot is in flight. */
LEAT_API leat_status leat_model_start(leat_model* model, size_t slot, leat_fence* fence);
/** leat_model_start, and waiting for its end until the model's deadline. */
LEAT_API leat_status leat_model_run_in_place(leat_model* model, size_t slot);

/** Sets `is_done` to 1 or 0. Costs a load. Errors: LEAT_DEVICE_LOST, when its work was lost. */
LEAT_API leat_status leat_fence_look(const leat_fence* fence, int32_t* is_done);
/** Waits; LEAT_TIMEOUT at the deadline. Errors: LEAT_DEVICE_LOST. */
LEAT_API leat_status leat_fence_wait(const leat_fence* fence, uint64_t timeout_ns);
/** The index of one that is reached, the lowest if several are. LEAT_TIMEOUT at the deadline. */
LEAT_API leat_status leat_fence_wait_any(const leat_fence* fences, size_t count,
                                         uint64_t timeout_ns, size_t* index);
/** Leaves a device that has lost work (LEAT_DEVICE_LOST), for the chip's next route. Inputs must be
 * written, and memory placed, anew. Errors: the loss, when no route is left. */
LEAT_API leat_status leat_model_give_way(leat_model* model);

/* --- Single operations ----------------------------------------------------------------------- */

/* Each is a model of one node, made ready once for each set of shapes, types and attributes and
 * kept in the session, which holds the last 64 of them. They run one at a time in a session.
 * Weights come with each call: a model that has them as constants packs them, and is faster. */

enum { LEAT_INTEGERS = 1, LEAT_NUMBERS = 2, LEAT_TEXT = 3 };

/** An attribute of an ONNX operator. A list of one may stand for a single value. */
typedef struct leat_attribute {
  const char* name;
  int32_t kind;            /**< LEAT_INTEGERS, LEAT_NUMBERS or LEAT_TEXT */
  int32_t is_list;         /**< not 0: a list even when count is 1 */
  const int64_t* integers; /**< `count` of them, for its kind */
  const float* numbers;
  const char* text;
  size_t count;
} leat_attribute;

/** Any ONNX operator of the standard domain, as opset 21 has it: "Gelu", "Softmax", "Conv". A
 * tensor of type LEAT_NONE among the inputs is left out. Errors: LEAT_UNSUPPORTED (an operator,
 * attribute or type that Leat does not have); LEAT_INVALID_ARGUMENT; those of devices. */
LEAT_API leat_status leat_operator(leat_session* session, const char* op,
                                   const leat_attribute* attributes, size_t attribute_count,
                                   const leat_tensor* inputs, size_t input_count,
                                   leat_tensor* outputs, size_t output_count);

typedef struct leat_conv2d_options {
  size_t struct_bytes;
  int64_t stride[2];   /**< rows, columns; 0: 1 */
  int64_t dilation[2]; /**< 0: 1 */
  int64_t pad[4];      /**< above, left, below, right; zeros are read there */
  int64_t groups;      /**< 0: 1 */
} leat_conv2d_options;

/** y[n,k,p,q] = bias[k] + sum over c,r,s of x[n,c,p*stride+r,q*stride+s] * w[k,c,r,s].
 * x (N,C,H,W), w (K,C/groups,R,S), bias (K) or null, y (N,K,P,Q); options null: all default. */
LEAT_API leat_status leat_conv2d(leat_session* session, const leat_conv2d_options* options,
                                 const leat_tensor* x, const leat_tensor* w,
                                 const leat_tensor* bias, leat_tensor* y);
/** c = a * b. a (...,M,K), b (...,K,N), c (...,M,N); leading axes are broadcast. */
LEAT_API leat_status leat_matmul(leat_session* session, const leat_tensor* a, const leat_tensor* b,
                                 leat_tensor* c);
/** y = a + b elementwise; shapes are broadcast as ONNX does. */
LEAT_API leat_status leat_add(leat_session* session, const leat_tensor* a, const leat_tensor* b,
                              leat_tensor* y);
/** y = max(x, 0), same shape. */
LEAT_API leat_status leat_relu(leat_session* session, const leat_tensor* x, leat_tensor* y);
/** y = exp(x) over its sum along `axis`, which may count from the end: -1 is the last. */
LEAT_API leat_status leat_softmax(leat_session* session, int64_t axis, const leat_tensor* x,
                                  leat_tensor* y);

/* --- Kernels of one's own --------------------------------------------------------------------- */

/* A kernel in text form (docs/kernel-format.md), a whole launch: a grid of workgroups, and buffers
 * of so many elements. Whatever it does, it touches no memory but its arguments: each access is
 * proven to stay inside, for the launch's grid, sizes and whole numbers, or masked. */

typedef struct leat_kernel_options {
  size_t struct_bytes;
  const char* device;      /**< null: the session's */
  uint32_t grid[3];        /**< workgroups of another launch than the text's; 0: the text's */
  const int64_t* elements; /**< of each parameter in such a launch; null: the text's */
  size_t element_count;    /**< length of `elements`: the number of parameters */
  int32_t is_trusted;      /**< not 0: no run is checked by the interpreter */
} leat_kernel_options;

/** A kernel that is ready on a device. One thread at a time uses it. */
typedef struct leat_kernel leat_kernel;

/** Makes the text's kernel ready; it is compiled when its first arguments are known. `name` is for
 * messages: a text that does not parse is named by line and column. `options` may be null.
 * Errors: LEAT_INVALID_ARGUMENT (the text, the launch), LEAT_UNSUPPORTED, those of devices. */
LEAT_API leat_status leat_kernel_load(leat_session* session, const char* text, size_t size_bytes,
                                      const char* name, const leat_kernel_options* options,
                                      leat_kernel** kernel);
LEAT_API void leat_kernel_close(leat_kernel* kernel);

/** A buffer of a kernel. */
typedef struct leat_parameter_info {
  size_t struct_bytes;
  const char* name; /**< lives as long as the kernel */
  leat_type type;
  int32_t is_written;
  int64_t elements;
  size_t size_bytes;
} leat_parameter_info;

LEAT_API size_t leat_kernel_parameter_count(const leat_kernel* kernel);
/** Errors: LEAT_INVALID_ARGUMENT, for an index past the end. */
LEAT_API leat_status leat_kernel_parameter(const leat_kernel* kernel, size_t index,
                                           leat_parameter_info* info);
/** The device that it is ready on. The texts live as long as the kernel. */
LEAT_API leat_status leat_kernel_device(const leat_kernel* kernel, leat_device_info* info);

/** Runs the launch in the interpreter, slowly, on copies of the arguments, which stay as they are.
 * It finds accesses outside of buffers, races between lanes, local memory that is read and was not
 * written. Errors: LEAT_INVALID_ARGUMENT, naming instruction, lane and element. */
LEAT_API leat_status leat_kernel_check(leat_kernel* kernel, const leat_tensor* arguments,
                                       size_t argument_count);
/** Launches once and waits. One tensor for each parameter, in the text's order, of its type and as
 * many elements, in any shape; what the kernel writes is written there. The first run of a kernel
 * that is not trusted and was not checked is checked first.
 * Errors: LEAT_INVALID_ARGUMENT (a tensor that does not fit; what the check finds),
 * LEAT_UNSUPPORTED (the device lacks what the kernel uses, or an access can be neither proven nor
 * masked), those of devices. */
LEAT_API leat_status leat_kernel_run(leat_kernel* kernel, const leat_tensor* arguments,
                                     size_t argument_count);

typedef struct leat_kernel_rate {
  size_t struct_bytes;
  double median_us; /**< of a launch */
  double p99_us;
  uint64_t samples;
  uint64_t masked_accesses; /**< those that were not proven */
} leat_kernel_rate;
/** Measures launches for so many seconds, once the device is warm, on what the last run's arguments
 * were. Errors: LEAT_INVALID_ARGUMENT, before the first run. */
LEAT_API leat_status leat_kernel_measure(leat_kernel* kernel, double seconds,
                                         leat_kernel_rate* rate);

/** The text as it is written by custom: names and comments stay. Writes up to `capacity` bytes with
 * a 0 at their end to `formatted`, which may be null when that is 0, and to `needed_bytes` how many
 * the whole takes, that 0 included. Errors: LEAT_INVALID_ARGUMENT, as leat_kernel_load, and when
 * `capacity` is above 0 and too small. */
LEAT_API leat_status leat_kernel_format(const char* text, size_t size_bytes, const char* name,
                                        char* formatted, size_t capacity, size_t* needed_bytes);

#ifdef __cplusplus
}
#endif
#endif /* LEAT_H */
