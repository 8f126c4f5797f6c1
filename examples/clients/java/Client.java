import com.google.protobuf.ByteString;
import emu.v1.CaptionInput;
import emu.v1.GenerateRequest;
import emu.v1.GenerateResponse;
import emu.v1.GenerationServiceGrpc;
import emu.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import emu.v1.Image;
import emu.v1.ImageOptions;
import emu.v1.OutputModality;
import emu.v1.Part;
import emu.v1.Prompt;
import emu.v1.QuestionInput;
import emu.v1.SamplingOptions;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;

/**
 * Captions a picture, asks about it and paints one, through the Emu server.
 *
 * <pre>./build.sh && ./client.sh localhost:50051 cat.png painted.png</pre>
 */
public final class Client {
  private final GenerationServiceBlockingStub stub;

  private Client(ManagedChannel channel) {
    stub = withKey(GenerationServiceGrpc.newBlockingStub(channel));
  }

  /** Sends the bearer key along; a server on this machine may want none. */
  private static GenerationServiceBlockingStub withKey(GenerationServiceBlockingStub stub) {
    String key = System.getenv("EMU_API_KEY");
    if (key == null || key.isEmpty()) return stub;
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + key);
    return MetadataUtils.attachHeaders(stub, headers);
  }

  private static Part picturePart(byte[] picture) {
    return Part.newBuilder().setImage(Image.newBuilder().setData(ByteString.copyFrom(picture))).build();
  }

  private static SamplingOptions sampling(int tokens) {
    return SamplingOptions.newBuilder().setNumBeams(1).setMaxNewTokens(tokens).build();
  }

  private Iterator<GenerateResponse> generate(GenerateRequest request) {
    return stub.withDeadlineAfter(5, TimeUnit.MINUTES).generate(request);
  }

  /** Prints text as it comes. */
  private void streamText(GenerateRequest request) {
    generate(request).forEachRemaining(response -> {
      if (response.hasText()) System.out.print(response.getText().getText());
      System.out.flush();
    });
    System.out.println();
  }

  private void caption(byte[] picture) {
    System.out.print("caption: ");
    CaptionInput input = CaptionInput.newBuilder().setMedia(picturePart(picture)).build();
    streamText(GenerateRequest.newBuilder().setCaption(input).setSampling(sampling(32)).setSeed(7).build());
  }

  private void ask(byte[] picture, String question) {
    System.out.print("answer: ");
    QuestionInput input =
        QuestionInput.newBuilder().addContext(picturePart(picture)).setQuestion(question).build();
    streamText(GenerateRequest.newBuilder().setQuestion(input).setSampling(sampling(16)).setSeed(7).build());
  }

  /** Draws a picture of a sentence and writes the file as its chunks come. */
  private void paint(String prompt, Path path) throws IOException {
    GenerateRequest request =
        GenerateRequest.newBuilder()
            .setPrompt(Prompt.newBuilder().addParts(Part.newBuilder().setText(prompt)))
            .addOutputModalities(OutputModality.OUTPUT_MODALITY_IMAGE)
            .setImage(ImageOptions.newBuilder().setSteps(10))
            .setSeed(7)
            .build();
    try (OutputStream file = Files.newOutputStream(path)) {
      Iterator<GenerateResponse> responses = generate(request);
      while (responses.hasNext()) {
        GenerateResponse response = responses.next();
        if (response.hasImageProgress()) {
          System.out.printf(
              "step %d of %d%n",
              response.getImageProgress().getStep(), response.getImageProgress().getTotalSteps());
        }
        if (response.hasImage()) response.getImage().getData().writeTo(file);
      }
    }
    System.out.println("wrote " + path);
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 3) {
      System.err.println("usage: client.sh HOST:PORT PICTURE PAINTED.png");
      System.exit(2);
    }
    byte[] picture = Files.readAllBytes(Path.of(arguments[1]));
    ManagedChannel channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
    try {
      Client client = new Client(channel);
      client.caption(picture);
      client.ask(picture, "what color is the object?");
      client.paint("a red circle.", Path.of(arguments[2]));
    } catch (StatusRuntimeException error) {
      System.err.println(error.getStatus().getCode() + ": " + error.getStatus().getDescription());
      System.exit(1);
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }
}
