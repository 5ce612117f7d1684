/* Runs an exported program without Python, on any device that has a PJRT plugin.

     cc -O2 -I FOLDER_OF_pjrt_c_api.h run_artifact.c -ldl -o run_artifact
     ./run_artifact PLUGIN.so PROGRAM OUTPUT_PREFIX INPUT...

   PLUGIN.so is the plugin of the CPU (xla_cpu_pjrt.so), of CUDA (xla_cuda_plugin.so), of the TPU (libtpu.so) or
   any other. PROGRAM is StableHLO, portable bytecode or text: `canter export module:function --args ... -o model.bc`.
   Each INPUT is a file that numpy.save wrote, or raw bytes with their type before them: f32[2,3]=weights.raw.
   The results are written as OUTPUT_PREFIX0.npy, OUTPUT_PREFIX1.npy, ... What the types of the inputs must be says
   `canter inspect PROGRAM`; plugins check no more than the sizes in bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pjrt_c_api.h"

enum { MAX_RANK = 16 };
typedef struct { const char *name, *npy; size_t bytes; PJRT_Buffer_Type type; } Type;
typedef struct { const Type *type; size_t rank; int64_t dims[MAX_RANK]; } Shape;

static const Type TYPES[] = {
    {"pred", "|b1", 1, PJRT_Buffer_Type_PRED}, {"i8", "|i1", 1, PJRT_Buffer_Type_S8},
    {"i16", "<i2", 2, PJRT_Buffer_Type_S16},   {"i32", "<i4", 4, PJRT_Buffer_Type_S32},
    {"i64", "<i8", 8, PJRT_Buffer_Type_S64},   {"u8", "|u1", 1, PJRT_Buffer_Type_U8},
    {"u16", "<u2", 2, PJRT_Buffer_Type_U16},   {"u32", "<u4", 4, PJRT_Buffer_Type_U32},
    {"u64", "<u8", 8, PJRT_Buffer_Type_U64},   {"f16", "<f2", 2, PJRT_Buffer_Type_F16},
    {"f32", "<f4", 4, PJRT_Buffer_Type_F32},   {"f64", "<f8", 8, PJRT_Buffer_Type_F64},
    {"bf16", "<V2", 2, PJRT_Buffer_Type_BF16}, {"c64", "<c8", 8, PJRT_Buffer_Type_C64},
    {"c128", "<c16", 16, PJRT_Buffer_Type_C128}};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

static const PJRT_Api *api;

static _Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("run_artifact: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(1);
}

/* Calls an entry of the plugin's table; `args` is declared here and holds what comes back. */
#define CALL(entry, args, ...)                                                \
  entry##_Args args = {.struct_size = entry##_Args_STRUCT_SIZE, __VA_ARGS__}; \
  check(#entry, api->entry(&args))

static void check(const char *entry, PJRT_Error *error) {
  if (!error) return;
  PJRT_Error_Message_Args args = {.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE, .error = error};
  api->PJRT_Error_Message(&args);
  fail("%s: %.*s", entry, (int)args.message_size, args.message);
}

static void wait_for(PJRT_Event *event) {
  CALL(PJRT_Event_Await, await, .event = event);
  CALL(PJRT_Event_Destroy, destroy, .event = event);
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) fail("cannot read %s", path);
  *size = (size_t)ftell(file);
  rewind(file);
  char *content = calloc(*size + 1, 1);
  if (!content || fread(content, 1, *size, file) != *size) fail("cannot read %s", path);
  fclose(file);
  return content;
}

/* Reads "2, 3" up to the closing bracket; returns the number of bytes of such an array. */
static size_t parse_dims(const char *text, char closing, Shape *shape, const char *where) {
  size_t bytes = shape->type->bytes;
  for (shape->rank = 0; *(text += strspn(text, ", ")) != closing; bytes *= (size_t)shape->dims[shape->rank++]) {
    char *end;
    if (shape->rank == MAX_RANK) fail("%s: more than %d dimensions", where, MAX_RANK);
    shape->dims[shape->rank] = strtoll(text, &end, 10);
    if (end == text || shape->dims[shape->rank] < 0) fail("%s: the shape is not understood", where);
    text = end;
  }
  return bytes;
}

/* The elements of an argument of the command line, and their type and shape. */
static char *read_input(const char *argument, Shape *shape) {
  size_t size, bytes, start = 0, length = strcspn(argument, "[");
  const char *equals = strstr(argument, "]=");
  char *content = read_file(equals ? equals + 2 : argument, &size);
  shape->type = NULL;
  if (equals) {
    for (const Type *type = TYPES; type < TYPES + TYPE_COUNT; type++)
      if (strlen(type->name) == length && !strncmp(argument, type->name, length)) shape->type = type;
    if (!shape->type) fail("%s: there is no type %.*s", argument, (int)length, argument);
    bytes = parse_dims(argument + length + 1, ']', shape, argument);
  } else {
    if (size < 12 || memcmp(content, "\x93NUMPY", 6)) fail("%s is not a file of numpy.save", argument);
    const unsigned char *header = (const unsigned char *)content;
    size_t words = header[6] == 1 ? 10 : 12; /* before them stand magic, version and length */
    start = words + header[8] + header[9] * 256u + (words == 12 ? header[10] * 65536u : 0);
    if (start > size || content[start - 1] != '\n') fail("%s is damaged", argument);
    content[start - 1] = 0;
    const char *text = content + words, *descr = strstr(text, "'descr': '"), *dims = strstr(text, "'shape': (");
    for (const Type *type = TYPES; descr && type < TYPES + TYPE_COUNT; type++)
      if (!strncmp(descr + 10, type->npy, strlen(type->npy)) && descr[10 + strlen(type->npy)] == '\'') shape->type = type;
    if (!shape->type || !dims) fail("%s: its dtype is not one of XLA's", argument);
    bytes = parse_dims(dims + 10, ')', shape, argument);
    if (strstr(text, "'fortran_order': True") && shape->rank > 1) fail("%s is in Fortran's order", argument);
  }
  if (bytes != size - start) fail("%s: %zu bytes where its shape needs %zu", argument, size - start, bytes);
  return content + start;
}

static void write_npy(const char *path, const Shape *shape, const char *data, size_t bytes) {
  char header[512];
  int used = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (", shape->type->npy);
  for (size_t axis = 0; axis < shape->rank; axis++)
    used += snprintf(header + used, sizeof header - used, "%lld,", (long long)shape->dims[axis]);
  used += snprintf(header + used, sizeof header - used, "), }");
  int padded = (10 + used + 1 + 63) / 64 * 64 - 10;
  FILE *file = fopen(path, "wb");
  if (!file) fail("cannot write %s", path);
  fprintf(file, "\x93NUMPY\x01%c%c%c%s%*s\n", 0, padded & 255, padded >> 8, header, padded - used - 1, "");
  if (fwrite(data, 1, bytes, file) != bytes || fclose(file)) fail("cannot write %s", path);
}

int main(int count, char **arguments) {
  if (count < 4) fail("usage: run_artifact PLUGIN.so PROGRAM OUTPUT_PREFIX [INPUT.npy | TYPE[DIMS]=INPUT.raw]...");
  void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (!plugin) fail("%s", dlerror());
  const PJRT_Api *(*get_api)(void) = (const PJRT_Api *(*)(void))dlsym(plugin, "GetPjrtApi");
  if (!get_api || !(api = get_api())) fail("%s is not a PJRT plugin: it has no GetPjrtApi", arguments[1]);
  if (api->pjrt_api_version.major_version != PJRT_API_MAJOR)
    fail("%s has version %d of the PJRT C API, not %d", arguments[1], api->pjrt_api_version.major_version, PJRT_API_MAJOR);
  size_t size, inputs = (size_t)count - 4;
  char *code = read_file(arguments[2], &size);

  CALL(PJRT_Plugin_Initialize, initialize, 0);
  CALL(PJRT_Client_Create, create, 0);
  CALL(PJRT_Client_AddressableDevices, devices, .client = create.client);
  if (!devices.num_addressable_devices) fail("%s finds no device", arguments[1]);

  PJRT_Program program = {.struct_size = PJRT_Program_STRUCT_SIZE, .code = code, .code_size = size,
                          .format = "mlir", .format_size = 4};
  /* CompileOptionsProto with executable_build_options (3) { num_replicas (4): 1, num_partitions (5): 1 }. */
  static const char options[] = {3 << 3 | 2, 4, 4 << 3, 1, 5 << 3, 1};
  CALL(PJRT_Client_Compile, compile, .client = create.client, .program = &program, .compile_options = options,
       .compile_options_size = sizeof options);
  CALL(PJRT_LoadedExecutable_GetExecutable, loaded, .loaded_executable = compile.executable);
  CALL(PJRT_Executable_NumOutputs, outputs, .executable = loaded.executable);

  PJRT_Buffer **in = calloc(inputs + 1, sizeof *in), **out = calloc(outputs.num_outputs + 1, sizeof *out);
  for (size_t i = 0; i < inputs; i++) {
    Shape shape;
    char *data = read_input(arguments[4 + i], &shape);
    CALL(PJRT_Client_BufferFromHostBuffer, put, .client = create.client, .data = data, .type = shape.type->type,
         .dims = shape.dims, .num_dims = shape.rank, .device = devices.addressable_devices[0],
         .host_buffer_semantics = PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes);
    wait_for(put.done_with_host_buffer);
    in[i] = put.buffer;
  }
  PJRT_ExecuteOptions execute_options = {.struct_size = PJRT_ExecuteOptions_STRUCT_SIZE};
  PJRT_Buffer *const *in_of_device = in, **const out_of_device = out;
  PJRT_Event *done = NULL;
  CALL(PJRT_LoadedExecutable_Execute, execute, .executable = compile.executable, .options = &execute_options,
       .argument_lists = &in_of_device, .num_devices = 1, .num_args = inputs, .output_lists = &out_of_device,
       .device_complete_events = &done);
  wait_for(done);
  for (size_t i = 0; i < outputs.num_outputs; i++) {
    CALL(PJRT_Buffer_ElementType, element, .buffer = out[i]);
    CALL(PJRT_Buffer_Dimensions, dims, .buffer = out[i]);
    Shape shape = {.rank = dims.num_dims};
    for (const Type *type = TYPES; type < TYPES + TYPE_COUNT; type++)
      if (type->type == element.type) shape.type = type;
    if (!shape.type || shape.rank > MAX_RANK) fail("result %zu has a type that numpy has no name for", i);
    memcpy(shape.dims, dims.dims, shape.rank * sizeof *dims.dims);
    CALL(PJRT_Buffer_ToHostBuffer, ask, .src = out[i]);
    char *data = malloc(ask.dst_size + 1), path[4096];
    CALL(PJRT_Buffer_ToHostBuffer, get, .src = out[i], .dst = data, .dst_size = ask.dst_size);
    wait_for(get.event);
    snprintf(path, sizeof path, "%s%zu.npy", arguments[3], i);
    write_npy(path, &shape, data, ask.dst_size);
    printf("%s\n", path);
  }
  return 0;  /* what is left goes with the process */
}
