// Captions a picture, asks about it and paints one, through the Emu server.
//
//   ./build.sh && ./client localhost:50051 cat.png painted.png
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "emu/v1/generation_service.grpc.pb.h"

namespace {

using emu::v1::GenerateRequest;
using emu::v1::GenerateResponse;
using emu::v1::GenerationService;

// Sends the bearer key along; a server on this machine may want none.
void AddKey(grpc::ClientContext* context) {
  const char* key = std::getenv("EMU_API_KEY");
  if (key != nullptr && *key != '\0') context->AddMetadata("authorization", std::string("Bearer ") + key);
}

// Calls `handle` with every event of a generation.
grpc::Status Generate(GenerationService::Stub& stub, const GenerateRequest& request,
                      const std::function<void(const GenerateResponse&)>& handle) {
  grpc::ClientContext context;
  AddKey(&context);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(5));
  const auto reader = stub.Generate(&context, request);
  GenerateResponse response;
  while (reader->Read(&response)) handle(response);
  return reader->Finish();
}

// Prints text as it comes.
grpc::Status StreamText(GenerationService::Stub& stub, GenerateRequest request, unsigned tokens) {
  request.mutable_sampling()->set_num_beams(1);
  request.mutable_sampling()->set_max_new_tokens(tokens);
  request.set_seed(7);
  const auto status = Generate(stub, request, [](const GenerateResponse& response) {
    if (response.has_text()) std::cout << response.text().text() << std::flush;
  });
  std::cout << std::endl;
  return status;
}

grpc::Status Caption(GenerationService::Stub& stub, const std::string& picture) {
  std::cout << "caption: ";
  GenerateRequest request;
  request.mutable_caption()->mutable_media()->mutable_image()->set_data(picture);
  return StreamText(stub, request, 32);
}

grpc::Status Ask(GenerationService::Stub& stub, const std::string& picture, const std::string& question) {
  std::cout << "answer: ";
  GenerateRequest request;
  request.mutable_question()->add_context()->mutable_image()->set_data(picture);
  request.mutable_question()->set_question(question);
  return StreamText(stub, request, 16);
}

// Draws a picture of a sentence and writes the file as its chunks come.
grpc::Status Paint(GenerationService::Stub& stub, const std::string& prompt, const std::string& path) {
  GenerateRequest request;
  request.mutable_prompt()->add_parts()->set_text(prompt);
  request.add_output_modalities(emu::v1::OUTPUT_MODALITY_IMAGE);
  request.mutable_image()->set_steps(10);
  request.set_seed(7);
  std::ofstream file(path, std::ios::binary);
  const auto status = Generate(stub, request, [&file](const GenerateResponse& response) {
    if (response.has_image_progress()) {
      std::cout << "step " << response.image_progress().step() << " of " << response.image_progress().total_steps()
                << std::endl;
    }
    if (response.has_image()) file << response.image().data();
  });
  file.close();
  if (!file) return grpc::Status(grpc::StatusCode::INTERNAL, "cannot write " + path);
  if (status.ok()) std::cout << "wrote " << path << std::endl;
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: client HOST:PORT PICTURE PAINTED.png\n";
    return 2;
  }
  std::ifstream file(argv[2], std::ios::binary);
  const std::string picture{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
  const auto stub = GenerationService::NewStub(channel);
  auto status = Caption(*stub, picture);
  if (status.ok()) status = Ask(*stub, picture, "what color is the object?");
  if (status.ok()) status = Paint(*stub, "a red circle.", argv[3]);
  if (status.ok()) return 0;
  std::cerr << status.error_code() << ": " << status.error_message() << "\n";
  return 1;
}
