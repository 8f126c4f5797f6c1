// Captions a picture, asks about it and paints one, through the Emu server.
//
//	./build.sh && ./client localhost:50051 cat.png painted.png
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	emuv1 "emu/v1"
)

// withKey sends the bearer key along; a server on this machine may want none.
func withKey(ctx context.Context) context.Context {
	if key := os.Getenv("EMU_API_KEY"); key != "" {
		return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	return ctx
}

func picturePart(picture []byte) *emuv1.Part {
	source := &emuv1.Image_Data{Data: picture}
	return &emuv1.Part{Data: &emuv1.Part_Image{Image: &emuv1.Image{Source: source}}}
}

// generate calls the handler with every event of a generation.
func generate(client emuv1.GenerationServiceClient, request *emuv1.GenerateRequest,
	handle func(*emuv1.GenerateResponse) error) error {
	ctx, cancel := context.WithTimeout(withKey(context.Background()), 5*time.Minute)
	defer cancel()
	stream, err := client.Generate(ctx, request)
	if err != nil {
		return err
	}
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := handle(response); err != nil {
			return err
		}
	}
}

// streamText prints text as it comes.
func streamText(client emuv1.GenerationServiceClient, request *emuv1.GenerateRequest) error {
	defer fmt.Println()
	return generate(client, request, func(response *emuv1.GenerateResponse) error {
		fmt.Print(response.GetText().GetText())
		return nil
	})
}

func sampling(tokens uint32) *emuv1.SamplingOptions {
	return &emuv1.SamplingOptions{NumBeams: proto.Uint32(1), MaxNewTokens: proto.Uint32(tokens)}
}

func caption(client emuv1.GenerationServiceClient, picture []byte) error {
	fmt.Print("caption: ")
	input := &emuv1.CaptionInput{Media: picturePart(picture)}
	return streamText(client, &emuv1.GenerateRequest{
		Input:    &emuv1.GenerateRequest_Caption{Caption: input},
		Sampling: sampling(32),
		Seed:     proto.Uint64(7),
	})
}

func ask(client emuv1.GenerationServiceClient, picture []byte, question string) error {
	fmt.Print("answer: ")
	input := &emuv1.QuestionInput{Context: []*emuv1.Part{picturePart(picture)}, Question: question}
	return streamText(client, &emuv1.GenerateRequest{
		Input:    &emuv1.GenerateRequest_Question{Question: input},
		Sampling: sampling(16),
		Seed:     proto.Uint64(7),
	})
}

// paint draws a picture of a sentence and writes the file as its chunks come.
func paint(client emuv1.GenerationServiceClient, prompt, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	parts := []*emuv1.Part{{Data: &emuv1.Part_Text{Text: prompt}}}
	request := &emuv1.GenerateRequest{
		Input:            &emuv1.GenerateRequest_Prompt{Prompt: &emuv1.Prompt{Parts: parts}},
		OutputModalities: []emuv1.OutputModality{emuv1.OutputModality_OUTPUT_MODALITY_IMAGE},
		Image:            &emuv1.ImageOptions{Steps: proto.Uint32(10)},
		Seed:             proto.Uint64(7),
	}
	err = generate(client, request, func(response *emuv1.GenerateResponse) error {
		if progress := response.GetImageProgress(); progress != nil {
			fmt.Printf("step %d of %d\n", progress.GetStep(), progress.GetTotalSteps())
		}
		_, err := file.Write(response.GetImage().GetData())
		return err
	})
	if err == nil {
		fmt.Println("wrote", path)
	}
	return err
}

func run(target, picturePath, paintedPath string) error {
	picture, err := os.ReadFile(picturePath)
	if err != nil {
		return err
	}
	connection, err := grpc.Dial(target, grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer connection.Close()
	client := emuv1.NewGenerationServiceClient(connection)
	if err := caption(client, picture); err != nil {
		return err
	}
	if err := ask(client, picture, "what color is the object?"); err != nil {
		return err
	}
	return paint(client, "a red circle.", paintedPath)
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: client HOST:PORT PICTURE PAINTED.png")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
