// nvJitLink, opened at run time. Source: NVIDIA's "nvJitLink" documentation, 13.0: functions, the
// value of NVJITLINK_INPUT_PTX, options. The library of CUDA 12 exports only names with a version
// behind them (nvJitLink.h, 12.x, its defines).
#include <dlfcn.h>
#include <fmt/format.h>

#include "leat/emit/ptx_assembler.h"

namespace leat {

namespace {

using Handle = void*;
constexpr int kSuccess = 0;
constexpr int kInputPtx = 2;

struct NvJitLink {
  int (*create)(Handle* handle, uint32_t option_count, const char** options) = nullptr;
  int (*add_data)(Handle handle, int type, const void* data, size_t size_bytes,
                  const char* name) = nullptr;
  int (*complete)(Handle handle) = nullptr;
  int (*cubin_size)(Handle handle, size_t* size_bytes) = nullptr;
  int (*cubin)(Handle handle, void* bytes) = nullptr;
  int (*error_log_size)(Handle handle, size_t* size_bytes) = nullptr;
  int (*error_log)(Handle handle, char* text) = nullptr;
  int (*destroy)(Handle* handle) = nullptr;
  int (*version)(unsigned* major, unsigned* minor) = nullptr;  // since 12.3
  std::string missing;                                         // empty: all is there
};

void* open_library() {
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  for (const char* name : {"libnvJitLink.so.13", "libnvJitLink.so.12", "libnvJitLink.so"}) {
    if (void* library = dlopen(name, kFlags)) return library;
    for (const std::string& folder : cuda_folders()) {
      for (const char* place : {"/lib64/", "/lib/"}) {
        if (void* library = dlopen((folder + place + name).c_str(), kFlags)) return library;
      }
    }
  }
  return nullptr;
}

void* symbol_of(void* library, const std::string& name) {
  if (void* symbol = dlsym(library, name.c_str())) return symbol;
  for (int minor = 9; minor >= 0; --minor) {
    if (void* symbol = dlsym(library, fmt::format("__{}_12_{}", name, minor).c_str())) {
      return symbol;
    }
  }
  return nullptr;
}

template <typename Function>
void look_up(NvJitLink& link, void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(symbol_of(library, name));
  if (function == nullptr) link.missing = fmt::format("the library lacks {}.", name);
}

NvJitLink open_nvjitlink() {
  NvJitLink link;
  void* library = open_library();
  if (library == nullptr) {
    link.missing = "no library libnvJitLink.so opens.";
    return link;
  }
  look_up(link, library, "nvJitLinkCreate", link.create);
  look_up(link, library, "nvJitLinkAddData", link.add_data);
  look_up(link, library, "nvJitLinkComplete", link.complete);
  look_up(link, library, "nvJitLinkGetLinkedCubinSize", link.cubin_size);
  look_up(link, library, "nvJitLinkGetLinkedCubin", link.cubin);
  look_up(link, library, "nvJitLinkGetErrorLogSize", link.error_log_size);
  look_up(link, library, "nvJitLinkGetErrorLog", link.error_log);
  look_up(link, library, "nvJitLinkDestroy", link.destroy);
  link.version = reinterpret_cast<decltype(link.version)>(symbol_of(library, "nvJitLinkVersion"));
  return link;
}

std::string log_of(const NvJitLink& link, Handle handle) {
  size_t size_bytes = 0;
  if (link.error_log_size(handle, &size_bytes) != kSuccess || size_bytes == 0) return "no log";
  std::string text(size_bytes, '\0');
  if (link.error_log(handle, text.data()) != kSuccess) return "no log";
  text.resize(text.find_last_not_of(std::string_view("\0 \n", 3)) + 1);
  return text;
}

std::string version_of(const NvJitLink& link) {
  unsigned major = 0;
  unsigned minor = 0;
  if (link.version == nullptr || link.version(&major, &minor) != kSuccess) return "nvJitLink 12";
  return fmt::format("nvJitLink {}.{}", major, minor);
}

/// Destroys the link's handle.
struct Session {
  const NvJitLink& link;
  Handle handle = nullptr;
  ~Session() {
    if (handle != nullptr) link.destroy(&handle);
  }
};

}  // namespace

Result<AssembledPtx> assemble_by_nvjitlink(const std::string& ptx, const std::string& chip) {
  static const NvJitLink link = open_nvjitlink();
  if (!link.missing.empty()) return Error(ErrorKind::unsupported, link.missing);
  Session session{link};
  const std::string option = "-arch=" + chip;
  const char* options[] = {option.c_str()};
  int code = link.create(&session.handle, 1, options);
  const auto failed = [&](const char* call) {
    return Error(ErrorKind::internal,
                 fmt::format("{} returns ({}): {}.", call, code, log_of(link, session.handle)));
  };
  if (code != kSuccess) {
    return Error(ErrorKind::internal, fmt::format("nvJitLinkCreate returns ({}).", code));
  }
  code = link.add_data(session.handle, kInputPtx, ptx.c_str(), ptx.size() + 1, "leat");
  if (code != kSuccess) return failed("nvJitLinkAddData");
  code = link.complete(session.handle);
  if (code != kSuccess) return failed("nvJitLinkComplete");
  size_t size_bytes = 0;
  code = link.cubin_size(session.handle, &size_bytes);
  if (code != kSuccess) return failed("nvJitLinkGetLinkedCubinSize");
  AssembledPtx assembled;
  assembled.cubin.resize(size_bytes);
  code = link.cubin(session.handle, assembled.cubin.data());
  if (code != kSuccess) return failed("nvJitLinkGetLinkedCubin");
  assembled.assembler = version_of(link);
  return assembled;
}

}  // namespace leat
