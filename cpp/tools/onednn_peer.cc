// oneDNN as a peer of the benchmarks: reads a case per line as JSON, answers with its best seconds, or with
// {} for a kind of work it is not asked to do. Weights are reordered once, as a user of the library would.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dnnl.hpp>
#include <iostream>
#include <string>
#include <unordered_map>

namespace {

using dnnl::memory;

// The number behind "key": in a flat line of JSON; the lines come from our own benchmark.
int64_t Number(const std::string& line, const char* key) {
  const size_t at = line.find(std::string("\"") + key + "\":");
  return at == std::string::npos ? 0 : std::atoll(line.c_str() + line.find(':', at) + 1);
}

class Peer {
 public:
  double Linear(const std::string& line, memory::data_type type) {
    const int64_t rows = Number(line, "rows"), inputs = Number(line, "inputs"),
                  outputs = Number(line, "outputs");
    const memory::desc x({rows, inputs}, type, memory::format_tag::ab);
    const memory::desc weight({inputs, outputs}, type, memory::format_tag::any);
    const memory::desc y({rows, outputs}, memory::data_type::f32, memory::format_tag::ab);
    const dnnl::matmul::primitive_desc plan({x, weight, y}, engine_);
    return Time(dnnl::matmul(plan), {{DNNL_ARG_SRC, plan.src_desc()},
                                     {DNNL_ARG_WEIGHTS, plan.weights_desc()},
                                     {DNNL_ARG_DST, plan.dst_desc()}});
  }

  double Convolution(const std::string& line, memory::data_type type) {
    const int64_t batch = Number(line, "batch"), side = Number(line, "side");
    const int64_t inputs = Number(line, "inputs"), outputs = Number(line, "outputs");
    const memory::desc x({batch, inputs, side, side}, type, memory::format_tag::nhwc);
    const memory::desc weight({outputs, inputs, 3, 3}, type, memory::format_tag::any);
    const memory::desc bias({outputs}, memory::data_type::f32, memory::format_tag::a);
    const memory::desc y({batch, outputs, side, side}, memory::data_type::f32, memory::format_tag::nhwc);
    const dnnl::convolution_forward::desc description(dnnl::prop_kind::forward_inference,
                                                      dnnl::algorithm::convolution_auto, x, weight, bias, y,
                                                      {1, 1}, {1, 1}, {1, 1});
    const dnnl::convolution_forward::primitive_desc plan(description, engine_);
    return Time(dnnl::convolution_forward(plan), {{DNNL_ARG_SRC, plan.src_desc()},
                                                  {DNNL_ARG_WEIGHTS, plan.weights_desc()},
                                                  {DNNL_ARG_BIAS, plan.bias_desc()},
                                                  {DNNL_ARG_DST, plan.dst_desc()}});
  }

 private:
  double Time(const dnnl::primitive& primitive, const std::unordered_map<int, memory::desc>& descriptions) {
    std::unordered_map<int, memory> arguments;
    for (const auto& [argument, description] : descriptions) {
      memory made(description, engine_);
      // 0x3c3c is a small normal number in bf16, and twice it in f32.
      std::fill_n(static_cast<uint16_t*>(made.get_data_handle()), description.get_size() / 2, 0x3c3c);
      arguments.emplace(argument, std::move(made));
    }
    const auto run = [&] {
      primitive.execute(stream_, arguments);
      stream_.wait();
    };
    run();
    double best = 1e30, total = 0;
    for (int round = 0; round < 40 && (round < 3 || total < 4); ++round) {
      const auto start = std::chrono::steady_clock::now();
      run();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      best = std::min(best, seconds);
      total += seconds;
    }
    return best;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
};

}  // namespace

int main(int argc, char** argv) {
  // Before the first use of the library's OpenMP.
  if (argc > 1) setenv("OMP_NUM_THREADS", argv[1], 1);
  Peer peer;
  const dnnl_version_t* version = dnnl_version();
  std::printf("{\"version\":\"%d.%d.%d\"}\n", version->major, version->minor, version->patch);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const auto type =
        line.find("\"bf16\"") == std::string::npos ? memory::data_type::f32 : memory::data_type::bf16;
    try {
      if (line.find("\"kind\":\"linear\"") != std::string::npos) {
        std::printf("{\"seconds\":%.9f}\n", peer.Linear(line, type));
      } else if (line.find("\"kind\":\"convolution\"") != std::string::npos) {
        std::printf("{\"seconds\":%.9f}\n", peer.Convolution(line, type));
      } else {
        std::printf("{}\n");
      }
    } catch (const dnnl::error& error) {
      std::printf("{\"error\":\"%s\"}\n", error.what());
    }
    std::fflush(stdout);
  }
  return 0;
}
