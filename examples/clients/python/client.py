"""Captions a picture, asks about it and paints one, through the Emu server.

    ./build.sh && python3 client.py localhost:50051 cat.png painted.png
"""
import os
import sys

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "generated"))
from emu.v1 import content_pb2, generation_service_pb2, generation_service_pb2_grpc, options_pb2  # noqa: E402


def credentials_of(call_key):
    """The bearer key goes along as metadata; a server on this machine may want none."""
    return [("authorization", f"Bearer {call_key}")] if call_key else []


def stream_text(stub, request, metadata):
    """Prints text as it comes; returns all of it."""
    text = ""
    for response in stub.Generate(request, metadata=metadata, timeout=120):
        if response.WhichOneof("event") == "text":
            print(response.text.text, end="", flush=True)
            text += response.text.text
    print()
    return text


def caption(stub, picture, metadata):
    media = content_pb2.Part(image=content_pb2.Image(data=picture))
    request = generation_service_pb2.GenerateRequest(
        caption=generation_service_pb2.CaptionInput(media=media),
        sampling=options_pb2.SamplingOptions(num_beams=1, max_new_tokens=32),
        seed=7,
    )
    return stream_text(stub, request, metadata)


def ask(stub, picture, question, metadata):
    context = [content_pb2.Part(image=content_pb2.Image(data=picture))]
    request = generation_service_pb2.GenerateRequest(
        question=generation_service_pb2.QuestionInput(context=context, question=question),
        sampling=options_pb2.SamplingOptions(num_beams=1, max_new_tokens=16),
        seed=7,
    )
    return stream_text(stub, request, metadata)


def paint(stub, prompt, path, metadata):
    """Draws a picture of a sentence; writes the file as its chunks come."""
    request = generation_service_pb2.GenerateRequest(
        prompt=generation_service_pb2.Prompt(parts=[content_pb2.Part(text=prompt)]),
        output_modalities=[generation_service_pb2.OUTPUT_MODALITY_IMAGE],
        image=options_pb2.ImageOptions(steps=10),
        seed=7,
    )
    with open(path, "wb") as file:
        for response in stub.Generate(request, metadata=metadata, timeout=300):
            event = response.WhichOneof("event")
            if event == "image_progress":
                print(f"step {response.image_progress.step} of {response.image_progress.total_steps}")
            elif event == "image":
                file.write(response.image.data)
    print(f"wrote {path}")


def main(target, picture_path, painted_path):
    with open(picture_path, "rb") as file:
        picture = file.read()
    metadata = credentials_of(os.environ.get("EMU_API_KEY"))
    with grpc.insecure_channel(target) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        try:
            print("caption: ", end="")
            caption(stub, picture, metadata)
            print("answer: ", end="")
            ask(stub, picture, "what color is the object?", metadata)
            paint(stub, "a red circle.", painted_path, metadata)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
