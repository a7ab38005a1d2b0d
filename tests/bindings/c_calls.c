/* Every function of leat.h, with good and with bad arguments, from C99. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "tests/bindings/c_calls.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "bindings/c/leat.h"

#define EXPECT(condition) \
  ((condition) ? (void)0 : c_expectation_failed(__FILE__, __LINE__, #condition, leat_message()))
#define EXPECT_OK(call) EXPECT((call) == LEAT_OK)
/* The message names what is wrong. */
#define EXPECT_FAILS(status, words, call) \
  EXPECT((call) == (status) && strstr(leat_message(), words) != NULL)

static const uint64_t long_ns = 60000000000ull;
static const char* const digits_path = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";

enum { DIGIT_PIXELS = 28 * 28, DIGITS = 10 };

/* y = x + x for x f32 (n, 4), a model of opset 13. */
static const char sums_model[] =
    "\x08\x08\x3a\x42\x0a\x0e\x0a\x01\x78\x0a\x01\x78\x12\x01\x79\x22\x03\x41\x64\x64\x12\x04"
    "\x73\x75\x6d\x73\x5a\x14\x0a\x01\x78\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01\x6e"
    "\x0a\x02\x08\x04\x62\x14\x0a\x01\x79\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01\x6e"
    "\x0a\x02\x08\x04\x42\x04\x0a\x00\x10\x0d";

/* y = a kernel of x, a model of opset 13: the kernel reads 8 elements of x, which has 6. */
static const char kernel_model[] =
    "\010\016:\223\003\n\353\002\n\001x\022\001y\"\005twice*\307\002\n\006kernel\"\271\002"
    "leat-kernel 1\n"
    "kernel \"twice\" lanes 4 waves 1 grid 2 1 1\n"
    "parameter x : f32[8] read\n"
    "parameter y : f32[8] write\n"
    "{\n"
    "  %group : u.i32 = group_id 0\n"
    "  %four : u.i32 = constant 4\n"
    "  %first : u.i32 = mul_i %group, %four\n"
    "  %v : v.f32 = load x[%first + lane * 1]\n"
    "  %w : v.f32 = add_f %v, %v\n"
    "  store y[%first + lane * 1], %w\n"
    "}\n"
    "\240\001\003*\014\n\005shape@\010\240\001\007:\004leat\022\001kZ\017\n\001x\022\n\n\010"
    "\010\001\022\004\n\002\010\006b\017\n\001y\022\n\n\010\010\001\022\004\n\002\010\010B"
    "\004\n\000\020\015B\010\n\004leat\020\001";

static leat_tensor floats(float* data, int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d) {
  leat_tensor tensor = {data, sizeof(float), LEAT_F32, rank, {a, b, c, d}};
  for (int32_t i = 0; i < rank; ++i) tensor.size_bytes *= (size_t)tensor.shape[i];
  return tensor;
}

/* No cache: what is tested is made here. */
static leat_session* cpu_session(void) {
  leat_session_options options = {sizeof options, "cpu", "", 2, NULL, NULL};
  leat_session* session = NULL;
  EXPECT_OK(leat_session_open(&options, &session));
  return session;
}

static leat_model* load_sums(leat_session* session, uint32_t slots) {
  leat_load_options options = {sizeof options};
  leat_model* model = NULL;
  options.slots = slots;
  EXPECT_OK(
      leat_model_load_memory(session, sums_model, sizeof sums_model - 1, "sums", &options, &model));
  return model;
}

/* --- Facts ----------------------------------------------------------------------------------- */

static void names_and_versions(void) {
  EXPECT(strcmp(leat_status_name(LEAT_OK), "ok") == 0);
  EXPECT(strcmp(leat_status_name(LEAT_DEVICE_LOST), "device_lost") == 0);
  EXPECT(strcmp(leat_status_name(LEAT_TIMEOUT), "timeout") == 0);
  EXPECT(strcmp(leat_status_name(99), "unknown") == 0);
  EXPECT(strlen(leat_version()) >= 5 && strlen(leat_commit()) > 0);
  EXPECT(leat_type_bytes(LEAT_F32) == 4 && leat_type_bytes(LEAT_I64) == 8);
  EXPECT(leat_type_bytes(LEAT_BOOL) == 1 && leat_type_bytes(LEAT_U4) == 1);
  EXPECT(leat_type_bytes(LEAT_NONE) == 0 && leat_type_bytes(8) == 0 && leat_type_bytes(-1) == 0);
  EXPECT(strcmp(leat_type_name(LEAT_BF16), "bf16") == 0);
  EXPECT(strcmp(leat_type_name(1000), "unknown") == 0);
}

static void types_have_the_numbers_of_onnx(void) {
  for (leat_type type = LEAT_F32; type <= LEAT_I2; ++type) {
    const int is_type = type != 8 && type != 14 && type != 15; /* strings, complex numbers */
    EXPECT((leat_type_bytes(type) > 0) == is_type);
    EXPECT((strcmp(leat_type_name(type), "unknown") != 0) == is_type);
  }
}

static void devices(void) {
  leat_devices* found = NULL;
  leat_device_info info = {sizeof info};
  size_t cpus = 0;
  EXPECT_OK(leat_devices_find(&found));
  EXPECT(leat_devices_count(found) > 0);
  for (size_t i = 0; i < leat_devices_count(found); ++i) {
    EXPECT_OK(leat_devices_get(found, i, &info));
    EXPECT(info.name != NULL && info.chip != NULL && info.route != NULL && info.refusal != NULL);
    if (strcmp(info.name, "cpu") != 0) continue;
    ++cpus;
    EXPECT(strcmp(info.route, "native") == 0 && info.refusal[0] == '\0');
    EXPECT(info.memory_bytes > 0 && info.is_software == 0);
  }
  EXPECT(cpus == 1);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "is not below", leat_devices_get(found, 1000, &info));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_devices_get(found, 0, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_devices_get(NULL, 0, &info));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_devices_find(NULL));
  info.struct_bytes = 0;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "struct_bytes", leat_devices_get(found, 0, &info));
  leat_devices_free(found);
  leat_devices_free(NULL);
  EXPECT(leat_devices_count(NULL) == 0);
}

/* A caller built against an older header has a shorter struct, one of a newer a longer one. */
static void structs_of_other_versions(void) {
  struct {
    leat_session_options known;
    uint64_t later;
  } newer = {{sizeof newer, "cpu", "", 1, NULL, NULL}, 0};
  struct {
    size_t struct_bytes;
    const char* name;
    const char* untouched;
  } older = {sizeof(size_t) + sizeof(char*), NULL, "untouched"};
  leat_session* session = NULL;
  leat_devices* found = NULL;
  EXPECT_OK(leat_session_open(&newer.known, &session));
  leat_session_close(session);
  newer.later = 1;
  EXPECT_FAILS(LEAT_UNSUPPORTED, "does not know", leat_session_open(&newer.known, &session));
  newer.known.struct_bytes = (size_t)-1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "larger", leat_session_open(&newer.known, &session));
  EXPECT_OK(leat_devices_find(&found));
  EXPECT_OK(leat_devices_get(found, 0, (leat_device_info*)(void*)&older));
  EXPECT(older.name != NULL && strcmp(older.untouched, "untouched") == 0);
  leat_devices_free(found);
}

static void sessions(void) {
  leat_session_options options = {sizeof options};
  leat_session* session = NULL;
  EXPECT_OK(leat_session_open(NULL, &session));
  leat_session_close(session);
  leat_session_close(NULL);
  options.threads = 1u << 30;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "threads", leat_session_open(&options, &session));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_session_open(NULL, NULL));
}

/* --- Models ---------------------------------------------------------------------------------- */

static void digits(void) {
  static float picture[DIGIT_PIXELS], scores[DIGITS], in_place[DIGITS];
  leat_session* session = cpu_session();
  leat_model* model = NULL;
  leat_value_info info = {sizeof info};
  leat_device_info device = {sizeof device};
  leat_model_stats stats = {sizeof stats};
  leat_tensor x = floats(picture, 4, 1, 1, 28, 28), y = {scores, sizeof scores};
  leat_tensor memory;
  float sum = 0;
  EXPECT_OK(leat_model_load(session, digits_path, NULL, &model));
  leat_session_close(session); /* the model keeps what it needs */
  if (model == NULL) return;
  EXPECT(leat_model_input_count(model) == 1 && leat_model_output_count(model) == 1);
  EXPECT_OK(leat_model_input(model, 0, &info));
  EXPECT(strcmp(info.name, "image") == 0 && info.type == LEAT_F32 && info.rank == 4);
  EXPECT(info.shape[2] == 28 && info.size_bytes == sizeof picture);
  EXPECT_OK(leat_model_output(model, 0, &info));
  EXPECT(strcmp(info.name, "probabilities") == 0 && info.size_bytes == sizeof scores);
  EXPECT_OK(leat_model_device(model, &device));
  EXPECT(strcmp(device.name, "cpu") == 0);

  for (size_t i = 0; i < DIGIT_PIXELS; ++i) picture[i] = (float)(i % 28 == 14 ? 255 : 0);
  EXPECT_OK(leat_run(model, &x, 1, &y, 1));
  EXPECT(y.type == LEAT_F32 && y.rank == 2 && y.shape[0] == 1 && y.shape[1] == DIGITS);
  for (size_t i = 0; i < DIGITS; ++i) sum += scores[i];
  EXPECT(fabsf(sum - 1) < 1e-5f); /* a soft-max; ten roundings of 6e-8 */
  EXPECT(scores[1] > 0.5f);       /* an upright bar is a one */
  EXPECT_OK(leat_model_get_stats(model, &stats));
  EXPECT(stats.kernels > 0 && stats.compiled > 0 && stats.reserved_bytes > 0);
  EXPECT(stats.copied_bytes == sizeof picture + sizeof scores && stats.staged_bytes == 0);

  EXPECT_OK(leat_model_input_memory(model, 0, 0, &memory));
  EXPECT(memory.size_bytes == sizeof picture && memory.shape[3] == 28);
  memcpy(memory.data, picture, sizeof picture);
  EXPECT_OK(leat_model_run_in_place(model, 0));
  EXPECT_OK(leat_model_output_memory(model, 0, 0, &memory));
  memcpy(in_place, memory.data, sizeof in_place);
  EXPECT(memcmp(in_place, scores, sizeof scores) == 0); /* the same bits each time */
  leat_model_close(model);
  leat_model_close(NULL);
}

static void kernels_in_models(void) {
  leat_session* session = cpu_session();
  leat_load_options options = {sizeof options};
  leat_model* model = NULL;
  float in[6] = {1, 2, 3, 4, 5, 6}, out[8] = {0};
  const leat_tensor x = floats(in, 1, 6, 0, 0, 0);
  leat_tensor y = {out, sizeof out, LEAT_NONE, 0, {0}};
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "outside of",
               leat_model_load_memory(session, kernel_model, sizeof kernel_model - 1, "kernel",
                                      &options, &model));
  EXPECT(strstr(leat_message(), "node \"y\" (twice, opset 1)") != NULL);
  options.trusts_kernels = 1;
  EXPECT_OK(leat_model_load_memory(session, kernel_model, sizeof kernel_model - 1, "kernel",
                                   &options, &model));
  EXPECT_OK(leat_run(model, &x, 1, &y, 1));
  EXPECT(y.rank == 1 && y.shape[0] == 8);
  for (int i = 0; i < 8; ++i) EXPECT(out[i] == (i < 6 ? 2 * in[i] : 0)); /* what it lacks is 0 */
  leat_model_close(model);
  leat_session_close(session);
}

static void precisions(void) {
  leat_session* session = cpu_session();
  leat_load_options options = {sizeof options};
  leat_model* model = NULL;
  leat_model_stats stats = {sizeof stats};
  options.precision = "fp16";
  EXPECT_FAILS(
      LEAT_INVALID_ARGUMENT, "there are (f32, tf32, bf16, f16, i8)",
      leat_model_load_memory(session, sums_model, sizeof sums_model - 1, "sums", &options, &model));
  options.precision = "bf16";
  EXPECT_OK(
      leat_model_load_memory(session, sums_model, sizeof sums_model - 1, "sums", &options, &model));
  EXPECT_OK(leat_model_get_stats(model, &stats));
  EXPECT(stats.products == 0 && stats.rounded_products == 0); /* it has sums only */
  leat_model_close(model);
  leat_session_close(session);
}

static void types_that_are_none(void) {
  leat_session* session = cpu_session();
  leat_model* model = load_sums(session, 1);
  float in[4] = {0}, out[4] = {0};
  leat_tensor x = floats(in, 2, 1, 4, 0, 0), y = floats(out, 2, 1, 4, 0, 0);
  x.type = 8;
  EXPECT_FAILS(LEAT_UNSUPPORTED, "Element type string is not", leat_run(model, &x, 1, &y, 1));
  x.type = 15;
  EXPECT_FAILS(LEAT_UNSUPPORTED, "Element type complex128 is", leat_run(model, &x, 1, &y, 1));
  x.type = LEAT_NONE;
  EXPECT_FAILS(LEAT_UNSUPPORTED, "Element type undefined is", leat_run(model, &x, 1, &y, 1));
  x.type = 77;
  EXPECT_FAILS(LEAT_UNSUPPORTED, "Element type (77) is not", leat_run(model, &x, 1, &y, 1));
  leat_model_close(model);
  leat_session_close(session);
}

static void bad_loads(void) {
  leat_session* session = cpu_session();
  leat_load_options options = {sizeof options};
  leat_known_input known = {"z", {NULL, 0, LEAT_F32, 2, {1, 4}}};
  leat_model* model = NULL;
  EXPECT_FAILS(LEAT_IO, "/nowhere.onnx", leat_model_load(session, "/nowhere.onnx", NULL, &model));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_load(session, NULL, NULL, &model));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_load(session, digits_path, NULL, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "rubbish",
               leat_model_load_memory(session, "abc", 3, "rubbish", NULL, &model));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_model_load_memory(session, NULL, 3, "rubbish", NULL, &model));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_model_load_memory(session, "abc", 3, NULL, NULL, &model));
  options.device = "gpu77";
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "gpu77",
               leat_model_load(session, digits_path, &options, &model));
  options.device = NULL;
  options.slots = 1u << 20;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "slots",
               leat_model_load(session, digits_path, &options, &model));
  options.slots = 0;
  options.known_count = 1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_model_load(session, digits_path, &options, &model));
  options.known = &known;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "\"z\"",
               leat_model_load(session, digits_path, &options, &model));
  EXPECT(model == NULL);
  leat_session_close(session);
  EXPECT(leat_model_input_count(NULL) == 0 && leat_model_output_count(NULL) == 0);
}

static void shapes_that_change(void) {
  float x_data[12], y_data[12];
  leat_session* session = cpu_session();
  leat_model* model = load_sums(session, 0);
  leat_value_info info = {sizeof info};
  if (model == NULL) return;
  for (int64_t rows = 1; rows <= 3; ++rows) {
    leat_tensor x = floats(x_data, 2, rows, 4, 0, 0);
    leat_tensor asked = {NULL, 0}, y = {y_data, sizeof y_data};
    for (int i = 0; i < 12; ++i) x_data[i] = (float)(i + rows);
    EXPECT_OK(leat_run(model, &x, 1, &asked, 1)); /* how much memory? */
    EXPECT(asked.size_bytes == x.size_bytes && asked.shape[0] == rows && asked.type == LEAT_F32);
    EXPECT_OK(leat_run(model, &x, 1, &y, 1));
    EXPECT(y.size_bytes == x.size_bytes && y.shape[0] == rows);
    for (int i = 0; i < 4 * rows; ++i) EXPECT(y_data[i] == 2 * x_data[i]);
  }
  {
    leat_tensor x = floats(NULL, 2, 2, 4, 0, 0);
    EXPECT_OK(leat_model_set_shapes(model, &x, 1));
    EXPECT_OK(leat_model_output(model, 0, &info));
    EXPECT(info.shape[0] == 2 && info.size_bytes == 32);
    x.shape[1] = 5;
    EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(2, 5)", leat_model_set_shapes(model, &x, 1));
    EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "inputs", leat_model_set_shapes(model, &x, 2));
    EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_set_shapes(model, NULL, 1));
  }
  leat_model_close(model);
  leat_session_close(session);
}

static void bad_runs(void) {
  float x_data[8] = {0}, y_data[8];
  leat_session* session = cpu_session();
  leat_model* model = load_sums(session, 0);
  leat_value_info info = {sizeof info};
  leat_tensor x = floats(x_data, 2, 2, 4, 0, 0), y = {y_data, sizeof y_data};
  leat_tensor bad = x;
  if (model == NULL) return;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_run(NULL, &x, 1, &y, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_run(model, NULL, 1, &y, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_run(model, &x, 1, NULL, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "inputs (2)", leat_run(model, &x, 2, &y, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "outputs (0)", leat_run(model, &x, 1, &y, 0));
  bad.type = LEAT_I32;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "i32", leat_run(model, &bad, 1, &y, 1));
  bad.type = 8;
  EXPECT_FAILS(LEAT_UNSUPPORTED, "type string", leat_run(model, &bad, 1, &y, 1));
  bad = x;
  bad.size_bytes = 31;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "31", leat_run(model, &bad, 1, &y, 1));
  bad = x;
  bad.data = NULL;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_run(model, &bad, 1, &y, 1));
  bad = x;
  bad.rank = LEAT_RANK_MAX + 1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "Rank (9)", leat_run(model, &bad, 1, &y, 1));
  bad.rank = -1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "Rank (-1)", leat_run(model, &bad, 1, &y, 1));
  bad = x;
  bad.shape[0] = -2;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "-2", leat_run(model, &bad, 1, &y, 1));
  bad.shape[0] = INT64_MAX;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "elements", leat_run(model, &bad, 1, &y, 1));
  y.size_bytes = 16;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "needs (32) bytes", leat_run(model, &x, 1, &y, 1));
  EXPECT(y.size_bytes == 16); /* untouched */
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "not below", leat_model_input(model, 1, &info));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "not below", leat_model_output(model, 1, &info));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_input(NULL, 0, &info));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_output(model, 0, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_device(model, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_get_stats(NULL, NULL));
  leat_model_close(model);
  leat_session_close(session);
}

static void profile(void) {
  leat_session* session = cpu_session();
  leat_model* model = NULL;
  leat_kernel_time times[2] = {{NULL, NULL, 0, 0, 0}};
  size_t count = 0;
  EXPECT_OK(leat_model_load(session, digits_path, NULL, &model));
  EXPECT_OK(leat_model_profile(model, times, 2, &count));
  EXPECT(count > 2 && times[1].name != NULL && times[1].op != NULL && times[1].bytes > 0);
  EXPECT_OK(leat_model_profile(model, NULL, 0, &count));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_profile(model, NULL, 1, &count));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_profile(model, times, 2, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_profile(NULL, times, 2, &count));
  leat_model_close(model);
  leat_session_close(session);
}

/* --- In place -------------------------------------------------------------------------------- */

static void memory_of_the_caller(void) {
  leat_session* session = cpu_session();
  leat_model* model = load_sums(session, 1);
  leat_model_stats stats = {sizeof stats};
  leat_tensor memory, x, y;
  const size_t alignment = leat_model_place_alignment(model);
  char *block, *in, *out;
  if (model == NULL) return;
  EXPECT(alignment > 0 && leat_model_place_alignment(NULL) == 0);
  block = malloc(3 * alignment + 2 * 4096);
  in = block + (alignment - (uintptr_t)block % alignment) % alignment;
  out = in + (4096 + alignment - 1) / alignment * alignment;
  EXPECT_OK(leat_model_place_input(model, 0, 0, in, 4096));
  EXPECT_OK(leat_model_place_output(model, 0, 0, out, 4096));
  for (int i = 0; i < 4; ++i) ((float*)(void*)in)[i] = (float)i;
  EXPECT_OK(leat_model_run_in_place(model, 0));
  for (int i = 0; i < 4; ++i) EXPECT(((float*)(void*)out)[i] == (float)(2 * i));
  EXPECT_OK(leat_model_input_memory(model, 0, 0, &memory));
  EXPECT(memory.data == in);
  x = memory;
  EXPECT_OK(leat_model_output_memory(model, 0, 0, &y));
  ((float*)(void*)in)[3] = 50;
  EXPECT_OK(leat_run(model, &x, 1, &y, 1)); /* its own memory: nothing is copied */
  EXPECT(((float*)(void*)out)[3] == 100);
  EXPECT_OK(leat_model_get_stats(model, &stats));
  EXPECT(stats.copied_bytes == 0 && stats.staged_bytes == 0);

  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_place_input(model, 0, 0, NULL, 4096));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "not positive", leat_model_place_input(model, 0, 0, in, 0));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "needs (16) bytes",
               leat_model_place_output(model, 0, 0, out, 8));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "Slot (1)", leat_model_place_input(model, 1, 0, in, 4096));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "input (1)", leat_model_place_input(model, 0, 1, in, 4096));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "output (7)", leat_model_output_memory(model, 0, 7, &y));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_input_memory(model, 0, 0, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_input_memory(NULL, 0, 0, &x));
  leat_model_close(model);
  leat_session_close(session);
  free(block);
}

/* The cpu device takes any file that maps, as it does a dma-buf. */
static int shared_file(size_t size_bytes) {
  char path[] = "/tmp/leat_shared_XXXXXX";
  const int fd = mkstemp(path);
  EXPECT(fd >= 0 && unlink(path) == 0 && ftruncate(fd, (off_t)size_bytes) == 0);
  return fd;
}

static void memory_of_a_dma_buf(void) {
  leat_session* session = cpu_session();
  leat_model* model = load_sums(session, 1);
  leat_model_stats stats = {sizeof stats};
  const int in = shared_file(4096), out = shared_file(4096);
  float x[4] = {1, 2, 3, -4}, y[4] = {0};
  EXPECT_OK(leat_model_place_input_dma_buf(model, 0, 0, in, 4096));
  EXPECT_OK(leat_model_place_output_dma_buf(model, 0, 0, out, 4096));
  for (int run = 0; run < 2; ++run) {
    x[0] = (float)run;
    EXPECT(pwrite(in, x, sizeof x, 0) == (ssize_t)sizeof x);
    EXPECT_OK(leat_model_run_in_place(model, 0));
    EXPECT(pread(out, y, sizeof y, 0) == (ssize_t)sizeof y);
    for (int i = 0; i < 4; ++i) EXPECT(y[i] == 2 * x[i]);
  }
  EXPECT_OK(leat_model_get_stats(model, &stats));
  EXPECT(stats.copied_bytes == 0 && stats.staged_bytes == 0);

  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(4096) bytes, fewer than (8192)",
               leat_model_place_output_dma_buf(model, 0, 0, out, 8192));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "needs (16) bytes",
               leat_model_place_output_dma_buf(model, 0, 0, out, 8));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "not positive",
               leat_model_place_input_dma_buf(model, 0, 0, in, 0));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "descriptor (-1)",
               leat_model_place_input_dma_buf(model, 0, 0, -1, 4096));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "input (1)",
               leat_model_place_input_dma_buf(model, 0, 1, in, 4096));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "output (1)",
               leat_model_place_output_dma_buf(model, 0, 1, out, 4096));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_model_place_output_dma_buf(NULL, 0, 0, out, 4096));
  EXPECT_OK(leat_model_run_in_place(model, 0)); /* what failed has changed nothing */

  char again[64]; /* as a camera gives its frames: open for reading, at some place */
  snprintf(again, sizeof again, "/proc/self/fd/%d", in);
  const int reading = open(again, O_RDONLY);
  int ends[2] = {-1, -1};
  EXPECT(reading >= 0 && lseek(reading, 7, SEEK_SET) == 7 && pipe(ends) == 0);
  EXPECT_OK(leat_model_place_input_dma_buf(model, 0, 0, reading, 4096));
  EXPECT(lseek(reading, 0, SEEK_CUR) == 7);
  x[0] = 5;
  EXPECT(pwrite(in, x, sizeof x, 0) == (ssize_t)sizeof x);
  EXPECT_OK(leat_model_run_in_place(model, 0));
  EXPECT(pread(out, y, sizeof y, 0) == (ssize_t)sizeof y && y[0] == 10);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "open for reading",
               leat_model_place_output_dma_buf(model, 0, 0, reading, 4096));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "has no size",
               leat_model_place_input_dma_buf(model, 0, 0, ends[0], 4096));
  EXPECT(close(reading) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
  EXPECT(close(in) == 0 && close(out) == 0); /* the model keeps what it maps */
  EXPECT_OK(leat_model_run_in_place(model, 0));
  leat_model_close(model);
  leat_session_close(session);
}

static void fences(void) {
  enum { SLOTS = 3 };
  leat_session* session = cpu_session();
  leat_model* model = load_sums(session, SLOTS);
  leat_fence started[SLOTS] = {{NULL, 0}};
  leat_fence none = {NULL, 1};
  size_t index = SLOTS;
  int32_t is_done = 0;
  if (model == NULL) return;
  for (size_t slot = 0; slot < SLOTS; ++slot) {
    leat_tensor memory;
    EXPECT_OK(leat_model_input_memory(model, slot, 0, &memory));
    *(float*)memory.data = (float)slot;
    EXPECT_OK(leat_model_start(model, slot, &started[slot]));
  }
  EXPECT_OK(leat_fence_wait_any(started, SLOTS, long_ns, &index));
  EXPECT(index < SLOTS);
  for (size_t slot = 0; slot < SLOTS; ++slot) {
    leat_tensor memory;
    EXPECT_OK(leat_fence_wait(&started[slot], long_ns));
    EXPECT_OK(leat_fence_look(&started[slot], &is_done));
    EXPECT(is_done == 1);
    EXPECT_OK(leat_model_output_memory(model, slot, 0, &memory));
    EXPECT(*(float*)memory.data == (float)(2 * slot));
  }
  started[0].value += 1000; /* a run that nobody started */
  EXPECT(leat_fence_wait(&started[0], 1000) == LEAT_TIMEOUT);
  EXPECT(leat_fence_wait_any(started, 1, 1000, &index) == LEAT_TIMEOUT);
  EXPECT_OK(leat_fence_look(&started[0], &is_done));
  EXPECT(is_done == 0);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "Slot (3)", leat_model_start(model, SLOTS, &started[0]));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "Slot (3)", leat_model_run_in_place(model, SLOTS));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_start(model, 0, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_start(NULL, 0, &started[0]));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_run_in_place(NULL, 0));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_fence_look(&none, &is_done));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_fence_look(NULL, &is_done));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_fence_look(&started[0], NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_fence_wait(NULL, 0));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_fence_wait_any(NULL, 1, 0, &index));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "fence", leat_fence_wait_any(started, 0, 0, &index));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_fence_wait_any(started, 1, 0, NULL));
  leat_model_close(model);
  leat_session_close(session);
}

/* The cpu has no other route: a model that gives it up has no device left, and says so. */
static void giving_way(void) {
  leat_session* session = cpu_session();
  leat_model* model = load_sums(session, 1);
  EXPECT_FAILS(LEAT_DEVICE_LOST, "gave", leat_model_give_way(model));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_give_way(NULL));
  leat_model_close(model);
  leat_session_close(session);
}

/* y = x + x, and x the y of the run before. */
static void states(void) {
  const char* names[] = {"y=x"};
  const char* wrong[] = {"y=z"};
  leat_session* session = cpu_session();
  leat_load_options options = {sizeof options};
  leat_model* model = NULL;
  float in[4] = {1, 2, 3, 4}, out[4] = {0};
  leat_tensor x = floats(in, 2, 1, 4, 0, 0), y = floats(out, 2, 1, 4, 0, 0);
  leat_tensor nothing_in = {0}, nothing_out = {0};
  size_t output = 7, input = 7;
  options.states = wrong;
  options.state_count = 1;
  EXPECT_FAILS(
      LEAT_INVALID_ARGUMENT, "no input \"z\"",
      leat_model_load_memory(session, sums_model, sizeof sums_model - 1, "s", &options, &model));
  options.states = NULL;
  EXPECT_FAILS(
      LEAT_INVALID_ARGUMENT, "states",
      leat_model_load_memory(session, sums_model, sizeof sums_model - 1, "s", &options, &model));
  options.states = names;
  EXPECT_OK(
      leat_model_load_memory(session, sums_model, sizeof sums_model - 1, "s", &options, &model));
  EXPECT(leat_model_state_count(model) == 1 && leat_model_state_count(NULL) == 0);
  EXPECT_OK(leat_model_state(model, 0, &output, &input));
  EXPECT(output == 0 && input == 0);
  EXPECT_OK(leat_model_state(model, 0, NULL, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "is not below", leat_model_state(model, 1, &output, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_state(NULL, 0, &output, &input));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "before the first run", leat_model_read_state(model, 0, &y));
  EXPECT_OK(leat_run(model, &x, 1, &y, 1));
  EXPECT(out[0] == 2 && out[3] == 8);
  EXPECT_OK(leat_run(model, &nothing_in, 1, &nothing_out, 1));
  EXPECT_OK(leat_run(model, &nothing_in, 1, &y, 1));
  EXPECT(out[0] == 8 && out[3] == 32);
  nothing_out.data = NULL;
  EXPECT_OK(leat_model_read_state(model, 0, &nothing_out));
  EXPECT(nothing_out.size_bytes == sizeof out && nothing_out.shape[1] == 4);
  EXPECT_OK(leat_model_read_state(model, 0, &y));
  EXPECT(out[0] == 8 && out[3] == 32);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "is not below", leat_model_read_state(model, 1, &y));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_read_state(model, 0, NULL));
  y.size_bytes = 4; /* too few: the run is not lost */
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "needs (16) bytes", leat_run(model, &nothing_in, 1, &y, 1));
  y.size_bytes = sizeof out;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(0)", leat_run(model, &nothing_in, 1, &y, 0));
  EXPECT_OK(leat_run(model, &nothing_in, 1, &y, 1));
  EXPECT(out[0] == 16 && out[3] == 64);
  in[0] = 5;
  EXPECT_OK(leat_model_set_state(model, 0, &x));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "is not below", leat_model_set_state(model, 1, &x));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_set_state(model, 0, NULL));
  EXPECT_OK(leat_run(model, &nothing_in, 1, &y, 1));
  EXPECT(out[0] == 10 && out[3] == 8);
  y.size_bytes = 4; /* too little is told before anything runs */
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "needs (16) bytes", leat_run(model, &nothing_in, 1, &y, 1));
  y.size_bytes = sizeof out;
  EXPECT_OK(leat_run(model, &nothing_in, 1, &y, 1));
  EXPECT(out[0] == 20 && out[3] == 16);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "is a state", leat_model_input_memory(model, 0, 0, &y));
  EXPECT_OK(leat_model_forget_states(model));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_forget_states(NULL));
  EXPECT_OK(leat_run(model, &nothing_in, 1, &y, 1));
  EXPECT(y.size_bytes == sizeof out && out[0] == 0); /* of open rows there is one, not none */
  leat_model_close(model);
  leat_session_close(session);
}

/* --- Single operations ----------------------------------------------------------------------- */

static void convolution(void) {
  enum { N = 2, C = 3, H = 5, W = 4, K = 2, R = 3, P = 3, Q = 4 };
  static float x[N * C * H * W], w[K * C * R * R], bias[K] = {1, -1}, y[N * K * P * Q];
  leat_session* session = cpu_session();
  leat_conv2d_options options = {sizeof options, {2, 1}, {0, 0}, {1, 1, 1, 1}, 0};
  leat_tensor tx = floats(x, 4, N, C, H, W), tw = floats(w, 4, K, C, R, R);
  leat_tensor tb = floats(bias, 1, K, 0, 0, 0), ty = {y, sizeof y};
  for (int i = 0; i < N * C * H * W; ++i) x[i] = (float)(i % 7 - 3);
  for (int i = 0; i < K * C * R * R; ++i) w[i] = (float)(i % 5 - 2);
  EXPECT_OK(leat_conv2d(session, &options, &tx, &tw, &tb, &ty));
  EXPECT(ty.rank == 4 && ty.shape[2] == P && ty.shape[3] == Q);
  for (int i = 0; i < N * K * P * Q; ++i) {
    const int q = i % Q, p = i / Q % P, k = i / Q / P % K, n = i / Q / P / K;
    float sum = bias[k];
    for (int c = 0; c < C; ++c) {
      for (int r = 0; r < R * R; ++r) {
        const int row = p * 2 - 1 + r / R, column = q - 1 + r % R;
        if (row < 0 || row >= H || column < 0 || column >= W) continue;
        sum += x[((n * C + c) * H + row) * W + column] * w[(k * C + c) * R * R + r];
      }
    }
    EXPECT(y[i] == sum); /* small whole numbers */
  }
  EXPECT_OK(leat_conv2d(session, NULL, &tx, &tw, NULL, &ty));
  EXPECT(ty.shape[2] == 3 && ty.shape[3] == 2);
  tw.shape[1] = 2;
  tw.size_bytes = sizeof(float) * K * 2 * R * R;
  EXPECT(leat_conv2d(session, NULL, &tx, &tw, NULL, &ty) == LEAT_INVALID_ARGUMENT);
  options.struct_bytes = 1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "struct_bytes",
               leat_conv2d(session, &options, &tx, &tw, NULL, &ty));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_conv2d(session, NULL, NULL, &tw, NULL, &ty));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_conv2d(NULL, NULL, &tx, &tw, NULL, &ty));
  leat_session_close(session);
}

static void products_and_others(void) {
  float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {1, 0, -1, 2, 1, 1}, c[4], y[6];
  leat_session* session = cpu_session();
  leat_tensor ta = floats(a, 2, 2, 3, 0, 0), tb = floats(b, 2, 3, 2, 0, 0);
  leat_tensor tc = {c, sizeof c}, ty = {y, sizeof y};
  for (int round = 0; round < 2; ++round) { /* made, then found */
    EXPECT_OK(leat_matmul(session, &ta, &tb, &tc));
    EXPECT(c[0] == 2 && c[1] == 7 && c[2] == 5 && c[3] == 16);
  }
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "", leat_matmul(session, &ta, &ta, &tc));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_matmul(session, &ta, NULL, &tc));
  tb.rank = 1;
  tb.shape[0] = 3;
  tb.size_bytes = 3 * sizeof(float);
  EXPECT_OK(leat_add(session, &ta, &tb, &ty));
  EXPECT(y[0] == 2 && y[1] == 2 && y[2] == 2 && y[5] == 5);
  EXPECT_OK(leat_relu(session, &tb, &ty));
  EXPECT(ty.size_bytes == 12 && y[0] == 1 && y[2] == 0);
  ty.size_bytes = sizeof y;
  EXPECT_OK(leat_softmax(session, -1, &ta, &ty));
  EXPECT(fabsf(y[3] + y[4] + y[5] - 1) < 1e-6f && y[5] > y[4]);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_add(session, &ta, &tb, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_relu(NULL, &ta, &ty));
  EXPECT(leat_softmax(session, 9, &ta, &ty) == LEAT_INVALID_ARGUMENT);
  leat_session_close(session);
}

static void any_operator(void) {
  float x[6] = {3, 1, 2, 6, 5, 4}, values[4], y[6];
  int64_t k = 2, indices[4];
  const int64_t integers[] = {1, 0};
  leat_session* session = cpu_session();
  leat_tensor inputs[2] = {floats(x, 2, 2, 3, 0, 0), {&k, sizeof k, LEAT_I64, 1, {1}}};
  leat_tensor outputs[2] = {{values, sizeof values}, {indices, sizeof indices}};
  leat_tensor ty = {y, sizeof y};
  leat_attribute transposed = {"perm", LEAT_INTEGERS, 1, integers, NULL, NULL, 2};
  /* k decides a shape: another k is another kernel */
  EXPECT_OK(leat_operator(session, "TopK", NULL, 0, inputs, 2, outputs, 2));
  EXPECT(values[0] == 3 && values[1] == 2 && indices[0] == 0 && indices[2] == 0);
  k = 1;
  EXPECT_OK(leat_operator(session, "TopK", NULL, 0, inputs, 2, outputs, 2));
  EXPECT(outputs[0].shape[1] == 1 && values[1] == 6 && indices[1] == 0);
  EXPECT_OK(leat_operator(session, "Transpose", &transposed, 1, inputs, 1, &ty, 1));
  EXPECT(ty.shape[0] == 3 && y[0] == 3 && y[1] == 6 && y[5] == 4);
  {
    leat_tensor clip[3] = {inputs[0], {NULL, 0}, {&x[4], sizeof(float), LEAT_F32, 0, {0}}};
    EXPECT_OK(leat_operator(session, "Clip", NULL, 0, clip, 3, &ty, 1)); /* no lower bound */
    EXPECT(y[0] == 3 && y[3] == 5);
  }
  EXPECT_FAILS(LEAT_UNSUPPORTED, "NoSuch",
               leat_operator(session, "NoSuch", NULL, 0, inputs, 1, &ty, 1));
  transposed.kind = 9;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "Kind (9)",
               leat_operator(session, "Transpose", &transposed, 1, inputs, 1, &ty, 1));
  transposed.kind = LEAT_NUMBERS;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "perm",
               leat_operator(session, "Transpose", &transposed, 1, inputs, 1, &ty, 1));
  transposed.name = NULL;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_operator(session, "Transpose", &transposed, 1, inputs, 1, &ty, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_operator(session, "Transpose", NULL, 1, inputs, 1, &ty, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_operator(session, NULL, NULL, 0, inputs, 1, &ty, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_operator(NULL, "Relu", NULL, 0, inputs, 1, &ty, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_operator(session, "Relu", NULL, 0, NULL, 1, &ty, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_operator(session, "Relu", NULL, 0, inputs, 1, NULL, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "output",
               leat_operator(session, "Relu", NULL, 0, inputs, 1, &ty, 0));
  leat_session_close(session);
}

/* Another pack beside one that is loaded: each runs its own code. */
static void pack_beside(leat_session* session) {
  static const char path[] = LEAT_BUILD_DIR "/c_calls_sums.onnx";
  static const char pack_path[] = LEAT_BUILD_DIR "/c_calls_sums.leat";
  float numbers[4] = {1, 2, 3, 4}, sums[4] = {0};
  leat_tensor x = floats(numbers, 2, 1, 4, 0, 0);
  leat_tensor y = {sums, sizeof sums};
  leat_model* model = NULL;
  FILE* const file = fopen(path, "wb");
  EXPECT(file != NULL);
  if (file == NULL) return;
  EXPECT(fwrite(sums_model, 1, sizeof sums_model - 1, file) == sizeof sums_model - 1);
  EXPECT(fclose(file) == 0);
  EXPECT(system("\"" LEAT_PROGRAM "\" pack \"" LEAT_BUILD_DIR
                "/c_calls_sums.onnx\" --for cpu -o \"" LEAT_BUILD_DIR
                "/c_calls_sums.leat\" > /dev/null") == 0);
  EXPECT_OK(leat_model_load(session, pack_path, NULL, &model));
  EXPECT_OK(leat_run(model, &x, 1, &y, 1));
  for (int i = 0; i < 4; ++i) EXPECT(sums[i] == 2 * numbers[i]);
  leat_model_close(model);
  remove(path);
  remove(pack_path);
}

/* A packed model is loaded like any other, from a file or from memory. */
static void packed_models(void) {
  static const char path[] = LEAT_BUILD_DIR "/c_calls.leat";
  static char bytes[1 << 22];
  static float picture[DIGIT_PIXELS], from_pack[DIGITS], from_onnx[DIGITS];
  leat_session* session = cpu_session();
  leat_model *packed = NULL, *in_memory = NULL, *plain = NULL;
  leat_tensor x = floats(picture, 4, 1, 1, 28, 28);
  leat_tensor y = {from_pack, sizeof from_pack}, z = {from_onnx, sizeof from_onnx};
  leat_known_input known = {"x", {NULL}};
  leat_load_options options = {sizeof options};
  size_t size_bytes = 0;
  FILE* file = NULL;
  EXPECT(system("\"" LEAT_PROGRAM "\" pack \"" LEAT_SOURCE_DIR
                "/examples/digits/digits.onnx\" --for cpu -o \"" LEAT_BUILD_DIR
                "/c_calls.leat\" > /dev/null") == 0);
  for (int i = 0; i < DIGIT_PIXELS; ++i) picture[i] = (float)(i % 7);
  EXPECT_OK(leat_model_load(session, path, NULL, &packed));
  EXPECT_OK(leat_model_load(session, digits_path, NULL, &plain));
  EXPECT(leat_model_input_count(packed) == 1 && leat_model_output_count(packed) == 1);
  EXPECT_OK(leat_run(packed, &x, 1, &y, 1));
  EXPECT_OK(leat_run(plain, &x, 1, &z, 1));
  for (int i = 0; i < DIGITS; ++i) EXPECT(fabsf(from_pack[i] - from_onnx[i]) < 1e-3f);
  pack_beside(session);
  EXPECT_OK(leat_run(packed, &x, 1, &y, 1));
  for (int i = 0; i < DIGITS; ++i) EXPECT(fabsf(from_pack[i] - from_onnx[i]) < 1e-3f);
  x.shape[0] = 2;
  x.size_bytes *= 2;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "", leat_run(packed, &x, 1, &y, 1));

  file = fopen(path, "rb");
  EXPECT(file != NULL);
  if (file == NULL) return;
  size_bytes = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  EXPECT(size_bytes > 1000 && size_bytes < sizeof bytes);
  EXPECT_OK(leat_model_load_memory(session, bytes, size_bytes, "memory", NULL, &in_memory));
  leat_model_close(in_memory);
  in_memory = NULL;
  options.known = &known;
  options.known_count = 1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "as it was compiled",
               leat_model_load(session, path, &options, &in_memory));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "damaged",
               leat_model_load_memory(session, bytes, size_bytes - 1, "cut", NULL, &in_memory));
  bytes[size_bytes - 1] ^= 1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "damaged",
               leat_model_load_memory(session, bytes, size_bytes, "blob", NULL, &in_memory));
  EXPECT(in_memory == NULL);
  remove(path);
  leat_model_close(packed);
  leat_model_close(plain);
  leat_session_close(session);
}

/* --- Tuning and what is in use --------------------------------------------------------------- */

static void times_and_uses(void) {
  leat_session* session = cpu_session();
  leat_load_options options = {sizeof options};
  leat_model* model = NULL;
  leat_model* plain = load_sums(session, 1);
  leat_model_stats stats = {sizeof stats};
  leat_device_use uses[2] = {{sizeof uses[0]}, {sizeof uses[0]}};
  uint64_t begin_ns = 0, end_ns = 0;
  size_t count = 0;
  options.takes_times = 1;
  EXPECT_OK(leat_model_load(session, digits_path, &options, &model));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "holds no time",
               leat_model_run_times(model, 0, &begin_ns, &end_ns));
  EXPECT_OK(leat_model_run_in_place(model, 0));
  EXPECT_OK(leat_model_run_times(model, 0, &begin_ns, &end_ns));
  EXPECT(begin_ns > 0 && end_ns > begin_ns);
  EXPECT_OK(leat_model_get_stats(model, &stats));
  EXPECT(stats.launches >= stats.kernels && stats.tensor_bytes > 0 && stats.repeated_runs == 0);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "takes_times",
               leat_model_run_times(plain, 0, &begin_ns, &end_ns));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "Slot (1)",
               leat_model_run_times(model, 1, &begin_ns, &end_ns));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_run_times(model, 0, NULL, &end_ns));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_run_times(model, 0, &begin_ns, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_run_times(NULL, 0, &begin_ns, &end_ns));

  EXPECT_OK(leat_session_uses(session, uses, 2, &count));
  EXPECT(count == 1 && strcmp(uses[0].name, "cpu") == 0 && uses[0].users == 2);
  EXPECT(uses[0].submits >= uses[0].replays && uses[0].memory_bytes > 0);
  leat_model_close(plain);
  EXPECT_OK(leat_session_uses(session, uses, 2, &count));
  EXPECT(uses[0].users == 1);
  EXPECT_OK(leat_session_uses(session, NULL, 0, &count));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_session_uses(session, NULL, 1, &count));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_session_uses(session, uses, 1, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_session_uses(NULL, uses, 1, &count));
  uses[0].struct_bytes = 0;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "struct_bytes", leat_session_uses(session, uses, 1, &count));
  leat_model_close(model);
  leat_session_close(session);
}

static void tuning(void) {
  char folder[] = "/tmp/leat-tune-XXXXXX";
  leat_session_options options = {sizeof options, "cpu", folder, 2, NULL, NULL};
  leat_tune_options limits = {sizeof limits, 0.01, 0};
  leat_tune_result first = {sizeof first}, second = {sizeof second};
  leat_session *session = NULL, *plain = cpu_session();
  leat_model *model = NULL, *unkept = load_sums(plain, 1);
  float picture[DIGIT_PIXELS] = {0}, before[DIGITS], after[DIGITS];
  const leat_tensor x = floats(picture, 4, 1, 1, 28, 28);
  leat_tensor y = floats(before, 2, 1, DIGITS, 0, 0);
  EXPECT(mkdtemp(folder) != NULL);
  EXPECT_OK(leat_session_open(&options, &session));
  EXPECT_OK(leat_model_load(session, digits_path, NULL, &model));
  EXPECT_OK(leat_run(model, &x, 1, &y, 1));
  EXPECT_OK(leat_model_tune(model, &limits, &first));
  EXPECT(first.kernels > 2 && first.measured > 0 && first.measured <= first.kernels);
  EXPECT(first.tuned_us <= first.model_us && first.tuned_us > 0);
  y.data = after;
  EXPECT_OK(leat_run(model, &x, 1, &y, 1));
  for (int i = 0; i < DIGITS; ++i) EXPECT(fabsf(before[i] - after[i]) < 1e-3f);
  EXPECT_OK(leat_model_tune(model, &limits, &second));
  EXPECT(second.kernels == first.kernels);
  EXPECT_OK(leat_model_tune(model, &limits, NULL));
  limits.kernel_seconds = -1;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(-1)", leat_model_tune(model, &limits, &second));
  limits.kernel_seconds = NAN;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "nan", leat_model_tune(model, &limits, &second));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "keeps no cache", leat_model_tune(unkept, NULL, NULL));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_model_tune(NULL, NULL, NULL));
  leat_model_close(unkept);
  leat_model_close(model);
  leat_session_close(plain);
  leat_session_close(session);
}

/* --- Kernels of one's own --------------------------------------------------------------------- */

/* y[i] = 2 x[i] for 8 elements, in two workgroups. */
static const char doubles_text[] =
    "leat-kernel 1\nkernel \"doubles\" lanes 4 waves 1 grid 2 1 1\n"
    "parameter x : f32[8] read\nparameter y : f32[8] write\n"
    "{\n  %g : u.i32 = group_id 0\n  %four : u.i32 = constant 4\n"
    "  %at : u.i32 = mul_i %g, %four  # first\n"
    "  %v : v.f32 = load x[%at + lane * 1]\n  %s : v.f32 = add_f %v, %v\n"
    "  store y[%at + lane * 1], %s\n}\n";

static leat_kernel* load_doubles(leat_session* session, const leat_kernel_options* options) {
  leat_kernel* kernel = NULL;
  EXPECT_OK(leat_kernel_load(session, doubles_text, sizeof doubles_text - 1, "doubles.ir", options,
                             &kernel));
  return kernel;
}

static void kernels(void) {
  leat_session* session = cpu_session();
  leat_kernel* kernel = load_doubles(session, NULL);
  float x[12], y[12] = {0};
  leat_tensor arguments[2];
  leat_parameter_info info = {sizeof info};
  leat_device_info device = {sizeof device};
  leat_kernel_rate rate = {sizeof rate};
  for (int i = 0; i < 12; ++i) x[i] = (float)i;
  arguments[0] = floats(x, 2, 2, 4, 0, 0);
  arguments[1] = floats(y, 1, 8, 0, 0, 0);
  EXPECT(leat_kernel_parameter_count(kernel) == 2);
  EXPECT_OK(leat_kernel_parameter(kernel, 1, &info));
  EXPECT(strcmp(info.name, "y") == 0 && info.type == LEAT_F32 && info.is_written == 1);
  EXPECT(info.elements == 8 && info.size_bytes == 32);
  EXPECT_OK(leat_kernel_device(kernel, &device));
  EXPECT(strcmp(device.name, "cpu") == 0);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "has not run", leat_kernel_measure(kernel, 0, &rate));
  EXPECT_OK(leat_kernel_check(kernel, arguments, 2));
  EXPECT(y[3] == 0);
  EXPECT_OK(leat_kernel_run(kernel, arguments, 2));
  for (int i = 0; i < 8; ++i) EXPECT(y[i] == 2 * x[i]);
  EXPECT(y[8] == 0);
  EXPECT_OK(leat_kernel_measure(kernel, 0.001, &rate));
  EXPECT(rate.samples >= 20 && rate.median_us > 0 && rate.p99_us >= rate.median_us);
  EXPECT(rate.masked_accesses == 0);
  leat_kernel_close(kernel);

  const int64_t elements[2] = {12, 12};
  leat_kernel_options options = {sizeof options, "cpu", {3, 0, 0}, elements, 2, 0};
  kernel = load_doubles(session, &options);
  arguments[0] = floats(x, 1, 12, 0, 0, 0);
  arguments[1] = floats(y, 1, 12, 0, 0, 0);
  EXPECT_OK(leat_kernel_run(kernel, arguments, 2));
  EXPECT(y[11] == 22);
  leat_kernel_close(kernel);
  leat_session_close(session); /* a kernel keeps what it needs, in any order */
  leat_kernel_close(NULL);
}

/* More workgroups than there is memory for. */
static void kernels_that_go_too_far(void) {
  leat_session* session = cpu_session();
  leat_kernel_options options = {sizeof options};
  leat_kernel_rate rate = {sizeof rate};
  leat_kernel* kernel = NULL;
  float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8] = {0};
  leat_tensor arguments[2];
  arguments[0] = floats(x, 1, 8, 0, 0, 0);
  arguments[1] = floats(y, 1, 8, 0, 0, 0);
  options.grid[0] = 100000;
  kernel = load_doubles(session, &options);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "reaches element (8) outside of 0 to 7",
               leat_kernel_run(kernel, arguments, 2));
  leat_kernel_close(kernel);
  options.is_trusted = 1;
  kernel = load_doubles(session, &options);
  EXPECT_OK(leat_kernel_run(kernel, arguments, 2));
  for (int i = 0; i < 8; ++i) EXPECT(y[i] == 2 * x[i]);
  EXPECT_OK(leat_kernel_measure(kernel, 0, &rate));
  EXPECT(rate.masked_accesses == 2);
  leat_kernel_close(kernel);
  leat_session_close(session);
}

static void bad_kernels(void) {
  static const char wrong[] = "leat-kernel 1\nkernel \"k\" lanes 4 waves 1 grid 1 1 1 {\n  %a }";
  leat_session* session = cpu_session();
  leat_kernel_options options = {sizeof options};
  leat_kernel* kernel = load_doubles(session, NULL);
  leat_kernel* none = NULL;
  leat_parameter_info info = {sizeof info};
  leat_kernel_rate rate = {sizeof rate};
  float x[8] = {0};
  int32_t whole[8] = {0};
  leat_tensor arguments[2];
  const int64_t elements[1] = {8};
  arguments[0] = floats(x, 1, 8, 0, 0, 0);
  arguments[1] = floats(x, 1, 4, 0, 0, 0);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "k.ir:3:6",
               leat_kernel_load(session, wrong, sizeof wrong - 1, "k.ir", NULL, &none));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_kernel_load(NULL, doubles_text, 10, "k", NULL, &none));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_load(session, NULL, 1, "k", NULL, &none));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_kernel_load(session, doubles_text, 10, NULL, NULL, &none));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_kernel_load(session, doubles_text, 10, "k", NULL, NULL));
  options.elements = elements;
  options.element_count = 1;
  EXPECT_FAILS(
      LEAT_INVALID_ARGUMENT, "element_count (1)",
      leat_kernel_load(session, doubles_text, sizeof doubles_text - 1, "k", &options, &none));
  options.elements = NULL;
  options.device = "gpu77";
  EXPECT_FAILS(
      LEAT_INVALID_ARGUMENT, "gpu77",
      leat_kernel_load(session, doubles_text, sizeof doubles_text - 1, "k", &options, &none));
  EXPECT(none == NULL);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "\"y\" is f32[8]", leat_kernel_run(kernel, arguments, 2));
  arguments[1].data = whole;
  arguments[1].type = LEAT_I32;
  arguments[1].shape[0] = 8;
  arguments[1].size_bytes = sizeof whole;
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "i32", leat_kernel_run(kernel, arguments, 2));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(1) arguments", leat_kernel_run(kernel, arguments, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(1) arguments", leat_kernel_check(kernel, arguments, 1));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_run(kernel, NULL, 2));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_run(NULL, arguments, 2));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_check(NULL, arguments, 2));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_measure(NULL, 1, &rate));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(-1)", leat_kernel_measure(kernel, -1, &rate));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "(2)", leat_kernel_parameter(kernel, 2, &info));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_parameter(NULL, 0, &info));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_device(NULL, NULL));
  EXPECT(leat_kernel_parameter_count(NULL) == 0);
  leat_kernel_close(kernel);
  leat_session_close(session);
}

static void formatted_kernels(void) {
  static const char spread[] = "leat-kernel 1 kernel \"k\" lanes 4\nwaves 1 grid 1 1 1 { # all\n}";
  static const char wanted[] =
      "leat-kernel 1\nkernel \"k\" lanes 4 waves 1 grid 1 1 1\n\n{  # all\n}\n";
  char text[sizeof wanted];
  size_t needed = 0;
  EXPECT_OK(leat_kernel_format(spread, sizeof spread - 1, "k", NULL, 0, &needed));
  EXPECT(needed == sizeof wanted);
  EXPECT_OK(leat_kernel_format(spread, sizeof spread - 1, "k", text, sizeof text, &needed));
  EXPECT(strcmp(text, wanted) == 0);
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "there is room for (5)",
               leat_kernel_format(spread, sizeof spread - 1, "k", text, 5, &needed));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "k:1:1",
               leat_kernel_format("x", 1, "k", text, sizeof text, &needed));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_kernel_format(NULL, 1, "k", text, sizeof text, &needed));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null",
               leat_kernel_format(spread, 1, NULL, text, sizeof text, &needed));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_format(spread, 1, "k", NULL, 5, &needed));
  EXPECT_FAILS(LEAT_INVALID_ARGUMENT, "null", leat_kernel_format(spread, 1, "k", text, 5, NULL));
}

const c_case c_cases[] = {
    {"NamesAndVersions", names_and_versions},
    {"TypesHaveTheNumbersOfOnnx", types_have_the_numbers_of_onnx},
    {"Devices", devices},
    {"StructsOfOtherVersions", structs_of_other_versions},
    {"Sessions", sessions},
    {"Digits", digits},
    {"KernelsInModels", kernels_in_models},
    {"Precisions", precisions},
    {"TypesThatAreNone", types_that_are_none},
    {"BadLoads", bad_loads},
    {"ShapesThatChange", shapes_that_change},
    {"BadRuns", bad_runs},
    {"Profile", profile},
    {"MemoryOfTheCaller", memory_of_the_caller},
    {"MemoryOfADmaBuf", memory_of_a_dma_buf},
    {"Fences", fences},
    {"GivingWay", giving_way},
    {"States", states},
    {"Convolution", convolution},
    {"ProductsAndOthers", products_and_others},
    {"AnyOperator", any_operator},
    {"PackedModels", packed_models},
    {"TimesAndUses", times_and_uses},
    {"Tuning", tuning},
    {"Kernels", kernels},
    {"KernelsThatGoTooFar", kernels_that_go_too_far},
    {"BadKernels", bad_kernels},
    {"FormattedKernels", formatted_kernels},
    {NULL, NULL},
};
