/* Runs an exported program without Python, on any device that has a PJRT plugin.

     cc -O2 -I FOLDER_OF_pjrt_c_api.h run_artifact.c -ldl -o run_artifact
     ./run_artifact PLUGIN.so PROGRAM OUTPUT_PREFIX INPUT.npy...

   PLUGIN.so is xla_cpu_pjrt.so, xla_cuda_plugin.so, libtpu.so or any other. PROGRAM is StableHLO, portable bytecode
   or text: `canter export module:function --args ... -o model.bc`. Inputs are files of numpy.save, of the types that
   `canter inspect PROGRAM` tells, as plugins check sizes in bytes only. Results go to OUTPUT_PREFIX0.npy, and so on. */
#include <dlfcn.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pjrt_c_api.h"

enum { MAX_RANK = 16, NPY_HEADER = 512 };
static const struct Type { const char *npy; size_t bytes; PJRT_Buffer_Type type; } TYPES[] = {
    {"|b1'", 1, PJRT_Buffer_Type_PRED}, {"|i1'", 1, PJRT_Buffer_Type_S8},  {"<i2'", 2, PJRT_Buffer_Type_S16},
    {"<i4'", 4, PJRT_Buffer_Type_S32},  {"<i8'", 8, PJRT_Buffer_Type_S64}, {"|u1'", 1, PJRT_Buffer_Type_U8},
    {"<u2'", 2, PJRT_Buffer_Type_U16},  {"<u4'", 4, PJRT_Buffer_Type_U32}, {"<u8'", 8, PJRT_Buffer_Type_U64},
    {"<f2'", 2, PJRT_Buffer_Type_F16},  {"<f4'", 4, PJRT_Buffer_Type_F32}, {"<f8'", 8, PJRT_Buffer_Type_F64},
    {"<V2'", 2, PJRT_Buffer_Type_BF16}, {"<c8'", 8, PJRT_Buffer_Type_C64}, {"<c16'", 16, PJRT_Buffer_Type_C128}, {0}};
static const PJRT_Api *api;

/* Calls an entry of the plugin's table; `args` is declared here and holds what comes back. */
#define CALL(entry, args, ...)                                                \
  entry##_Args args = {.struct_size = entry##_Args_STRUCT_SIZE, __VA_ARGS__}; \
  check(#entry, api->entry(&args))

static void check(const char *entry, PJRT_Error *error) {
  if (!error) return;
  PJRT_Error_Message_Args args = {.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE, .error = error};
  api->PJRT_Error_Message(&args);
  errx(1, "%s: %.*s", entry, (int)args.message_size, args.message);
}

static void wait_for(PJRT_Event *event) { CALL(PJRT_Event_Await, await, .event = event); }

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) err(1, "cannot read %s", path);
  *size = (size_t)ftell(file);
  rewind(file);
  char *content = calloc(*size + 1, 1);
  if (!content || fread(content, 1, *size, file) != *size) err(1, "cannot read %s", path);
  return content;
}

/* Puts an array of numpy.save onto a device. */
static PJRT_Buffer *read_npy(const char *path, PJRT_Client *client, PJRT_Device *device) {
  size_t size, rank = 0;
  int64_t dims[MAX_RANK];
  char *content = read_file(path, &size);
  const unsigned char *head = (const unsigned char *)content;
  if (size < 12 || memcmp(head, "\x93NUMPY", 6)) errx(1, "%s is not a file of numpy.save", path);
  size_t text = head[6] == 1 ? 10 : 12, start = text + head[8] + head[9] * 256u;
  if (start > size || content[start - 1] != '\n') errx(1, "%s is damaged", path);
  content[start - 1] = 0;
  char *descr = strstr(content + text, "'descr': '"), *shape = strstr(content + text, "'shape': (");
  const struct Type *type = TYPES;
  while (descr && type->npy && strncmp(descr + 10, type->npy, strlen(type->npy))) type++;
  if (!descr || !shape || !type->npy) errx(1, "%s: its dtype is not one of XLA's", path);
  size_t bytes = type->bytes;
  for (shape += 10; *(shape += strspn(shape, ", ")) != ')'; bytes *= (size_t)dims[rank++]) {
    if (rank == MAX_RANK || *shape < '0' || *shape > '9') errx(1, "%s: its shape is not understood", path);
    dims[rank] = strtoll(shape, &shape, 10);
  }
  if (rank > 1 && strstr(content + text, "'fortran_order': True")) errx(1, "%s is in Fortran's order", path);
  if (bytes != size - start) errx(1, "%s: %zu bytes where its shape needs %zu", path, size - start, bytes);
  CALL(PJRT_Client_BufferFromHostBuffer, put, .client = client, .data = content + start, .type = type->type,
       .dims = dims, .num_dims = rank, .device = device,
       .host_buffer_semantics = PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes);
  wait_for(put.done_with_host_buffer);
  return put.buffer;
}

static void write_npy(const char *path, PJRT_Buffer *buffer) {
  CALL(PJRT_Buffer_ElementType, element, .buffer = buffer);
  CALL(PJRT_Buffer_Dimensions, shape, .buffer = buffer);
  CALL(PJRT_Buffer_ToHostBuffer, ask, .src = buffer);
  char *data = malloc(ask.dst_size + 1), header[NPY_HEADER];
  CALL(PJRT_Buffer_ToHostBuffer, get, .src = buffer, .dst = data, .dst_size = ask.dst_size);
  wait_for(get.event);
  const struct Type *type = TYPES;
  while (type->npy && type->type != element.type) type++;
  if (!type->npy || shape.num_dims > MAX_RANK) errx(1, "%s: numpy has no name for the result's type", path);
  int used = snprintf(header, sizeof header, "{'descr': '%s, 'fortran_order': False, 'shape': (", type->npy);
  for (size_t axis = 0; axis < shape.num_dims; axis++)
    used += snprintf(header + used, sizeof header - used, "%lld,", (long long)shape.dims[axis]);
  FILE *file = fopen(path, "wb");
  int rest = NPY_HEADER - 10; /* after magic, version and length; filled up with spaces */
  if (!file || fprintf(file, "\x93NUMPY\x01%c%c%c%s), }%*s\n", 0, rest & 255, rest >> 8, header, rest - used - 5, "") < 0 ||
      fwrite(data, 1, ask.dst_size, file) != ask.dst_size || fclose(file)) err(1, "cannot write %s", path);
  puts(path);
}

int main(int count, char **arguments) {
  if (count < 4) errx(1, "usage: run_artifact PLUGIN.so PROGRAM OUTPUT_PREFIX [INPUT.npy]...");
  void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (!plugin) errx(1, "%s", dlerror());
  const PJRT_Api *(*get_api)(void) = (const PJRT_Api *(*)(void))dlsym(plugin, "GetPjrtApi");
  if (!get_api || !(api = get_api())) errx(1, "%s is not a PJRT plugin: it has no GetPjrtApi", arguments[1]);
  int version = api->pjrt_api_version.major_version;
  if (version != PJRT_API_MAJOR) errx(1, "%s has version %d of the PJRT C API", arguments[1], version);
  CALL(PJRT_Plugin_Initialize, initialize, 0);
  CALL(PJRT_Client_Create, create, 0);
  CALL(PJRT_Client_AddressableDevices, devices, .client = create.client);
  if (!devices.num_addressable_devices) errx(1, "%s finds no device", arguments[1]);

  PJRT_Program program = {.struct_size = PJRT_Program_STRUCT_SIZE, .format = "mlir", .format_size = 4};
  program.code = read_file(arguments[2], &program.code_size);
  /* CompileOptionsProto with executable_build_options (3) { num_replicas (4): 1, num_partitions (5): 1 }. */
  static const char options[] = {3 << 3 | 2, 4, 4 << 3, 1, 5 << 3, 1};
  CALL(PJRT_Client_Compile, compile, .client = create.client, .program = &program, .compile_options = options,
       .compile_options_size = sizeof options);
  CALL(PJRT_LoadedExecutable_GetExecutable, loaded, .loaded_executable = compile.executable);
  CALL(PJRT_Executable_NumOutputs, outputs, .executable = loaded.executable);

  size_t inputs = (size_t)count - 4;
  PJRT_Buffer **in = calloc(inputs + 1, sizeof *in), **out = calloc(outputs.num_outputs + 1, sizeof *out);
  for (size_t i = 0; i < inputs; i++) in[i] = read_npy(arguments[4 + i], create.client, devices.addressable_devices[0]);
  PJRT_ExecuteOptions execute_options = {.struct_size = PJRT_ExecuteOptions_STRUCT_SIZE};
  PJRT_Event *done = NULL;
  CALL(PJRT_LoadedExecutable_Execute, execute, .executable = compile.executable, .options = &execute_options,
       .argument_lists = (PJRT_Buffer *const *const[]){in}, .num_devices = 1, .num_args = inputs,
       .output_lists = (PJRT_Buffer **const[]){out}, .device_complete_events = &done);
  wait_for(done);
  for (size_t i = 0; i < outputs.num_outputs; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s%zu.npy", arguments[3], i);
    write_npy(path, out[i]);
  }
  return 0; /* what is left goes with the process */
}
